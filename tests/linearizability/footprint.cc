#include "tests/linearizability/footprint.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace orrery::linearizability {
namespace {

constexpr int kToTheEnd = -1;

struct Row {
  std::string_view name;
  // Where keys stand among the arguments; `first` is 0 for a command on the whole keyspace.
  int first;
  int last;
  int step;
  bool writes;
};

constexpr std::array kRows = {
    Row{"APPEND", 1, 1, 1, true},
    Row{"BITCOUNT", 1, 1, 1, false},
    Row{"BITFIELD", 1, 1, 1, true},
    Row{"BITFIELD_RO", 1, 1, 1, false},
    Row{"BITOP", 2, kToTheEnd, 1, true},
    Row{"BITPOS", 1, 1, 1, false},
    Row{"COPY", 1, 2, 1, true},
    Row{"DBSIZE", 0, 0, 0, false},
    Row{"DECR", 1, 1, 1, true},
    Row{"DECRBY", 1, 1, 1, true},
    Row{"DEL", 1, kToTheEnd, 1, true},
    Row{"DUMP", 1, 1, 1, false},
    Row{"EXISTS", 1, kToTheEnd, 1, false},
    Row{"EXPIRE", 1, 1, 1, true},
    Row{"FLUSHALL", 0, 0, 0, true},
    Row{"FLUSHDB", 0, 0, 0, true},
    Row{"GET", 1, 1, 1, false},
    Row{"GETBIT", 1, 1, 1, false},
    Row{"GETDEL", 1, 1, 1, true},
    Row{"GETEX", 1, 1, 1, true},
    Row{"GETRANGE", 1, 1, 1, false},
    Row{"GETSET", 1, 1, 1, true},
    Row{"INCR", 1, 1, 1, true},
    Row{"INCRBY", 1, 1, 1, true},
    Row{"INCRBYFLOAT", 1, 1, 1, true},
    Row{"KEYS", 0, 0, 0, false},
    Row{"LCS", 1, 2, 1, false},
    Row{"MGET", 1, kToTheEnd, 1, false},
    Row{"MSET", 1, kToTheEnd, 2, true},
    Row{"MSETNX", 1, kToTheEnd, 2, true},
    Row{"PERSIST", 1, 1, 1, true},
    Row{"PEXPIRE", 1, 1, 1, true},
    Row{"PEXPIRETIME", 1, 1, 1, false},
    Row{"PSETEX", 1, 1, 1, true},
    Row{"PTTL", 1, 1, 1, false},
    Row{"RANDOMKEY", 0, 0, 0, false},
    Row{"RENAME", 1, 2, 1, true},
    Row{"RENAMENX", 1, 2, 1, true},
    Row{"SET", 1, 1, 1, true},
    Row{"SETBIT", 1, 1, 1, true},
    Row{"SETNX", 1, 1, 1, true},
    Row{"SETRANGE", 1, 1, 1, true},
    Row{"STRLEN", 1, 1, 1, false},
    Row{"SUBSTR", 1, 1, 1, false},
    Row{"TOUCH", 1, kToTheEnd, 1, false},
    Row{"TYPE", 1, 1, 1, false},
    Row{"UNLINK", 1, kToTheEnd, 1, true},
    Row{"WATCH", 1, kToTheEnd, 1, false},
};

char UpperByte(char byte) {
  return byte >= 'a' && byte <= 'z' ? static_cast<char>(byte - 'a' + 'A') : byte;
}

bool IsNamed(std::string_view name, std::string_view text) {
  return std::equal(name.begin(), name.end(), text.begin(), text.end(),
                    [](char upper, char byte) { return upper == UpperByte(byte); });
}

void Add(const Arguments& arguments, Footprint& footprint) {
  if (arguments.empty()) return;
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&arguments](const Row& candidate) {
    return IsNamed(candidate.name, arguments[0]);
  });
  if (row == kRows.end()) return;
  footprint.writes |= row->writes;
  if (row->first == 0) {
    footprint.all_keys = true;
    return;
  }
  const size_t count = arguments.size();
  const size_t end =
      row->last == kToTheEnd ? count : std::min(count, static_cast<size_t>(row->last) + 1);
  for (size_t at = static_cast<size_t>(row->first); at < end;
       at += static_cast<size_t>(row->step)) {
    footprint.keys.push_back(arguments[at]);
  }
}

}  // namespace

Footprint FootprintOf(const Arguments& arguments) {
  Footprint footprint;
  Add(arguments, footprint);
  return footprint;
}

Footprint FootprintOf(const Operation& operation) {
  Footprint footprint;
  for (const Arguments& arguments : operation.commands) Add(arguments, footprint);
  return footprint;
}

}  // namespace orrery::linearizability
