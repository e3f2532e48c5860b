#include "server/number.h"

#include <charconv>
#include <system_error>

namespace orrery::server {

std::optional<int64_t> ParseInteger(std::string_view text) {
  const size_t sign_bytes = !text.empty() && text[0] == '-' ? 1 : 0;
  if (text.size() == sign_bytes) return std::nullopt;
  const char first_digit = text[sign_bytes];
  if (first_digit == '0' && text.size() > 1) return std::nullopt;
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

size_t FormatInteger(int64_t value, std::span<char, kIntegerTextMax> text) {
  return static_cast<size_t>(std::to_chars(text.data(), text.data() + text.size(), value).ptr -
                             text.data());
}

}  // namespace orrery::server
