// Splits an inline command into its arguments, with the quoting of Redis's command line:
// "\x41\n\"" in double quotes, '\'' in single quotes, a closing quote only before a space or the
// end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/check.h"

namespace orrery::server {

namespace inline_split_internal {

// Decodes the argument at the front of `line` to the end of `text` and takes it off `line`.
// REQUIRES: `line` starts with no space. False when its quotes are not balanced.
bool TakeArgument(std::string_view& line, std::string& text);

// Takes the white space at the front off `line`.
void SkipSpaces(std::string_view& line);

}  // namespace inline_split_internal

// Decodes the arguments of `line` one behind the other into `text`, and calls argument(begin, end)
// with each one's place in it. `line` counts up to its first zero byte. False when the quotes are
// not balanced.
template <typename Argument>
bool SplitInline(std::string_view line, std::string& text, Argument argument) {
  line = line.substr(0, line.find('\0'));
  for (;;) {
    inline_split_internal::SkipSpaces(line);
    if (line.empty()) return true;
    const size_t begin = text.size();
    if (!inline_split_internal::TakeArgument(line, text)) return false;
    argument(begin, text.size());
  }
}

}  // namespace orrery::server
