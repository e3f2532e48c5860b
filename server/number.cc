#include "server/number.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

std::optional<long double> ParseFloat(std::string_view text) {
  if (text.empty() || text.size() >= kFloatTextMax) return std::nullopt;
  constexpr std::string_view kSpaces = " \t\n\v\f\r";
  if (kSpaces.find(text[0]) != std::string_view::npos) return std::nullopt;
  std::array<char, kFloatTextMax> terminated;
  std::memcpy(terminated.data(), text.data(), text.size());
  terminated[text.size()] = '\0';
  errno = 0;
  char* end = nullptr;
  const long double value = std::strtold(terminated.data(), &end);
  if (end != terminated.data() + text.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || value == 0)) return std::nullopt;
  return value;
}

size_t FormatFloat(long double value, std::span<char, kFloatTextMax> text) {
  const int length = std::snprintf(text.data(), text.size(), "%.17Lf", value);
  std::string_view digits(text.data(), static_cast<size_t>(length));
  while (digits.ends_with('0')) digits.remove_suffix(1);
  if (digits.ends_with('.')) digits.remove_suffix(1);
  if (digits != "-0") return digits.size();
  text[0] = '0';
  return 1;
}

}  // namespace orrery::server
