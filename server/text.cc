#include "server/text.h"

#include <algorithm>

namespace orrery::server {
namespace {

// Takes the class "[...]" at the front off `pattern` and says whether `c` is in it. As in Redis, a
// class that is not closed ends with the pattern.
bool TakeClass(std::string_view& pattern, char c) {
  pattern.remove_prefix(1);
  const bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  while (!pattern.empty() && pattern[0] != ']') {
    if (pattern[0] == '\\' && pattern.size() >= 2) {
      found |= pattern[1] == c;
      pattern.remove_prefix(2);
    } else if (pattern.size() >= 3 && pattern[1] == '-') {
      const auto [low, high] = std::minmax(pattern[0], pattern[2]);
      found |= low <= c && c <= high;
      pattern.remove_prefix(3);
    } else {
      found |= pattern[0] == c;
      pattern.remove_prefix(1);
    }
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return found != negated;
}

// Takes one element that matches one character off `pattern`, which starts with no '*'.
bool TakeOne(std::string_view& pattern, char c) {
  if (pattern[0] == '[') return TakeClass(pattern, c);
  const bool any = pattern[0] == '?';
  if (pattern[0] == '\\' && pattern.size() >= 2) pattern.remove_prefix(1);
  const bool matches = any || pattern[0] == c;
  pattern.remove_prefix(1);
  return matches;
}

// The usual walk with one point to go back to: a later '*' makes an earlier one irrelevant.
bool Matches(std::string_view pattern, std::string_view text) {
  std::string_view retry_pattern;
  std::string_view retry_text;
  bool can_retry = false;
  for (;;) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      retry_pattern = pattern;
      retry_text = text;
      can_retry = true;
      continue;
    }
    if (pattern.empty() && text.empty()) return true;
    if (!pattern.empty() && !text.empty() && TakeOne(pattern, text[0])) {
      text.remove_prefix(1);
      continue;
    }
    if (!can_retry || retry_text.empty()) return false;
    retry_text.remove_prefix(1);
    pattern = retry_pattern;
    text = retry_text;
  }
}

}  // namespace

std::string ToUpper(std::string_view text) {
  std::string upper(text);
  for (char& c : upper) c = ToUpper(c);
  return upper;
}

std::string ToLower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = ToLower(c);
  return lower;
}

std::string_view AsCString(std::string_view bytes, size_t bytes_max) {
  return bytes.substr(0, std::min(bytes.find('\0'), bytes_max));
}

bool MatchesPattern(std::string_view pattern, std::string_view text, LetterCase letter_case) {
  // As in Redis: where there is nothing to match, no pattern is looked at.
  if (text.empty()) return pattern.empty();
  if (letter_case == LetterCase::kMatters) return Matches(pattern, text);
  return Matches(ToLower(pattern), ToLower(text));
}

bool IsPattern(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

}  // namespace orrery::server
