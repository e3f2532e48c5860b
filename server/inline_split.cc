#include "server/inline_split.h"

namespace orrery::server::inline_split_internal {
namespace {

// The C locale's isspace.
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What ends an argument outside of quotes; '\v' and '\f' do not.
bool EndsArgument(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Takes what a backslash in double quotes starts: "\xHH", or one escaped character.
// REQUIRES: line[0] == '\\' and line.size() > 1.
char TakeEscape(std::string_view& line) {
  if (line.size() >= 4 && line[1] == 'x' && HexDigit(line[2]) >= 0 && HexDigit(line[3]) >= 0) {
    const char byte = static_cast<char>(HexDigit(line[2]) * 16 + HexDigit(line[3]));
    line.remove_prefix(4);
    return byte;
  }
  const char byte = Unescape(line[1]);
  line.remove_prefix(2);
  return byte;
}

// Decodes the rest of a quoted part. False when the quote does not close, or closes in front of
// something else than a space.
bool TakeQuoted(char quote, std::string_view& line, std::string& text) {
  while (!line.empty()) {
    if (line[0] == quote) {
      line.remove_prefix(1);
      return line.empty() || IsSpace(line[0]);
    }
    const bool escape = line[0] == '\\' && line.size() > 1;
    if (escape && quote == '"') {
      text.push_back(TakeEscape(line));
    } else if (escape && line[1] == '\'') {
      text.push_back('\'');
      line.remove_prefix(2);
    } else {
      text.push_back(line[0]);
      line.remove_prefix(1);
    }
  }
  return false;
}

}  // namespace

void SkipSpaces(std::string_view& line) {
  while (!line.empty() && IsSpace(line[0])) line.remove_prefix(1);
}

bool TakeArgument(std::string_view& line, std::string& text) {
  ORRERY_DCHECK(!line.empty() && !IsSpace(line[0]));
  while (!line.empty() && !EndsArgument(line[0])) {
    const char c = line[0];
    line.remove_prefix(1);
    // A closing quote ends the argument.
    if (c == '"' || c == '\'') return TakeQuoted(c, line, text);
    text.push_back(c);
  }
  return true;
}

}  // namespace orrery::server::inline_split_internal
