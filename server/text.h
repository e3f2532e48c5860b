// Letters without their case, and Redis's patterns, as commands compare options and names.
// ASCII only, as in Redis.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace orrery::server {

constexpr char ToLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr char ToUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

constexpr bool EqualsIgnoreCase(std::string_view left, std::string_view right) {
  if (left.size() != right.size()) return false;
  for (size_t i = 0; i < left.size(); ++i) {
    if (ToLower(left[i]) != ToLower(right[i])) return false;
  }
  return true;
}

std::string ToUpper(std::string_view text);
std::string ToLower(std::string_view text);

// `bytes` up to its first zero byte and at most `bytes_max` of it: what a C string of it shows.
std::string_view AsCString(std::string_view bytes, size_t bytes_max);

enum class LetterCase : bool { kMatters, kIgnored };

// Whether `text` as a whole matches the glob-style `pattern`: * ? [abc] [^a-z] and \ as in Redis's
// KEYS. Takes O(pattern * text) at worst.
bool MatchesPattern(std::string_view pattern, std::string_view text, LetterCase letter_case);

// Whether `text` has a character that means something in a pattern.
bool IsPattern(std::string_view text);

}  // namespace orrery::server
