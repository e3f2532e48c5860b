#include "tests/scenarios/command_generator.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/scenarios/draws.h"
#include "tests/scenarios/rdb.h"

namespace orrery::scenarios {
namespace {

template <size_t kCount>
using WordList = std::array<std::string_view, kCount>;

constexpr int64_t kMillisecondsPerSecond = 1000;

}  // namespace

// --- Arguments.

Bytes CommandGenerator::Word(std::string_view text) {
  std::string word(text);
  const uint64_t spelling = prng_.Below(4);
  if (spelling == 0) {
    for (char& byte : word) {
      if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
    }
  }
  return Bytes::Text(std::move(word));
}

Bytes CommandGenerator::Key() {
  const uint64_t key = prng_.Below(options_.keys);
  if (key == 0 && prng_.Chance(1, 8)) return Bytes::Text("");
  if (key == 1) return Bytes::Text(std::string("k\0\r\n ", 5) + "1");
  return Bytes::Text("k" + std::to_string(key));
}

Bytes CommandGenerator::TextKey() { return Bytes::Text("t" + std::to_string(prng_.Below(3))); }

Bytes CommandGenerator::Value() {
  const uint64_t pick = prng_.Below(12);
  if (pick < 4) return Bytes::Text(std::to_string(prng_.Below(1000)));
  if (pick == 4) return Number();
  if (pick == 5) return Float();
  Bytes value;
  value.fill_seed = prng_.Below(1000);
  static constexpr std::array<uint64_t, 12> kEdges = {0,    1,    15,   20,    44,    45,
                                                      4095, 4096, 4097, 16384, 32768, 100'000};
  if (OneIn(prng_, options_.big_value_odds)) {
    const uint64_t edge = prng_.Below(kEdges.size() + 1);
    value.fill_bytes = edge < kEdges.size() ? kEdges[edge] : options_.value_bytes_max;
    if (options_.big_value_bytes != 0) value.fill_bytes = options_.big_value_bytes;
  } else {
    value.fill_bytes = LogUniform(prng_, 200);
  }
  value.fill_bytes = std::min(value.fill_bytes, options_.value_bytes_max);
  return value.fill_bytes == 0 ? Bytes{} : value;
}

// As a command takes it: usually a sensible number, sometimes an extreme, sometimes none.
Bytes CommandGenerator::Number() {
  static constexpr WordList<16> kOdd = {"0",
                                        "-1",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775808",
                                        "abc",
                                        "",
                                        " 1",
                                        "+1",
                                        "01",
                                        "1.5",
                                        "9223372036854776",
                                        "-0",
                                        "2147483648",
                                        "4294967296",
                                        "-2147483649"};
  if (prng_.Chance(1, 4)) return Bytes::Text(std::string(Pick(prng_, kOdd)));
  const uint64_t number = LogUniform(prng_, 2000);
  return Bytes::Text((prng_.Chance(1, 8) ? "-" : "") + std::to_string(number));
}

Bytes CommandGenerator::Float() {
  static constexpr WordList<24> kFloats = {
      "0.1",      "-0.1",   "3.0e3", "1e300",    "-1e-5", "5.0",
      "1.25",     "10.50",  "1e17",  "inf",      "-inf",  "nan",
      "0x1p3",    "1e5000", "1e-17", " 1.5",     "1.5 ",  ".5",
      "123456.7", "1e-400", "-.0",   "Infinity", "",      "3.1415926535897932384626"};
  if (prng_.Chance(1, 3)) return Number();
  return Bytes::Text(std::string(Pick(prng_, kFloats)));
}

// A position in a value, counted from either end.
Bytes CommandGenerator::Index() {
  if (prng_.Chance(1, 6)) return Number();
  const int64_t index = static_cast<int64_t>(prng_.Below(60)) - 20;
  return Bytes::Text(std::to_string(index));
}

Bytes CommandGenerator::BitOffset() {
  static constexpr WordList<8> kOdd = {"-1", "4294967296", "9223372036854775807",  "abc",
                                       "#1", "1.5",        "18446744073709551616", ""};
  if (prng_.Chance(1, 8)) return Bytes::Text(std::string(Pick(prng_, kOdd)));
  return Bytes::Text(std::to_string(LogUniform(prng_, 1000) - 1));
}

Bytes CommandGenerator::Pattern() {
  static constexpr WordList<20> kPatterns = {
      "*",      "k*",  "k?",  "[kt]*", "k[0-3]", "k[^1]",  "\\k1", "k\\", "[",    "[a",
      "k[3-0]", "**1", "k*[", "?\\?",  "",       "k[\\1]", "K*",   "*1",  "k[1-", "[^",
  };
  if (prng_.Chance(1, 2)) return Bytes::Text(std::string(Pick(prng_, kPatterns)));
  static constexpr std::string_view kLetters = "k*?[]^-\\0123t";
  std::string pattern;
  const uint64_t length = prng_.Below(8);
  for (uint64_t index = 0; index < length; ++index) {
    pattern += kLetters[prng_.Below(kLetters.size())];
  }
  return Bytes::Text(std::move(pattern));
}

Bytes CommandGenerator::Channel() {
  static constexpr WordList<6> kChannels = {"c1", "c1", "c2", "news", "k1", ""};
  return Bytes::Text(std::string(Pick(prng_, kChannels)));
}

Bytes CommandGenerator::ChannelPattern() {
  static constexpr WordList<8> kPatterns = {"c*", "c?", "*", "[cn]*", "news", "c1", "x*", ""};
  return Bytes::Text(std::string(Pick(prng_, kPatterns)));
}

Bytes CommandGenerator::Duration(bool seconds) {
  static constexpr WordList<12> kOdd = {
      "0", "-1",  "9223372036854775807", "-9223372036854775808", "9223372036854775808", "abc",
      "",  "1.5", "9223372036854776",    "-9223372036854776",    "9223372036854775",    "-100"};
  if (prng_.Chance(1, 4)) return Bytes::Text(std::string(Pick(prng_, kOdd)));
  uint64_t time = LogUniform(prng_, 2000);
  if (options_.far_times) time = (time + 10) * (seconds ? 10'000 : 10'000'000);
  return Bytes::Text(std::to_string(time));
}

Bytes CommandGenerator::Time(bool seconds) {
  static constexpr WordList<8> kOdd = {"0",   "-1", "9223372036854775807", "-9223372036854775808",
                                       "abc", "1",  "9223372036854776",    "9223372036854775"};
  if (prng_.Chance(1, 4)) return Bytes::Text(std::string(Pick(prng_, kOdd)));
  if (options_.far_times) {
    const uint64_t far = prng_.Between(3'000'000'000, 4'000'000'000);
    return Bytes::Text(std::to_string(seconds ? far : far * kMillisecondsPerSecond + 321));
  }
  int64_t time_ms = options_.start_s * kMillisecondsPerSecond;
  time_ms += static_cast<int64_t>(LogUniform(prng_, 3000));
  if (seconds) time_ms /= kMillisecondsPerSecond;
  return Bytes::Text(std::to_string(time_ms));
}

Bytes CommandGenerator::Dump() {
  // Compressed by Redis 7.0.15: forty times "abc".
  static const std::string kCompressed(
      "\x00\xc3\x0b\x40\x78\x03\x61\x62\x63\x61\xe0\x69\x02\x01\x62\x63", 16);
  const uint64_t pick = prng_.Below(16);
  if (pick == 0) return Bytes::Text("");
  if (pick == 1) return Bytes::Text("0123456789");
  if (pick == 2)
    return Bytes::Text(
        SealDump(std::string("\0\x05"
                             "abc",
                             5)));  // Ends too early.
  if (pick == 3)
    return Bytes::Text(SealDump(std::string("\0\x03"
                                            "abc",
                                            5),
                                11));
  if (pick == 4)
    return Bytes::Text(SealDump(std::string("\0\x03"
                                            "abc",
                                            5),
                                6));
  if (pick == 5) return Bytes::Text(SealDump(std::string("\0\xc7", 2)));    // No such encoding.
  if (pick == 6) return Bytes::Text(SealDump(std::string("\xfa\x01", 2)));  // No such type.
  if (pick == 7) return Bytes::Text(SealDump(kCompressed));
  Bytes value = Value();
  value.fill_bytes = std::min<uint64_t>(value.fill_bytes, 5000);
  std::string dump = EncodeDump(value.Materialize());
  if (pick == 8) dump.back() = static_cast<char>(dump.back() + 1);
  return Bytes::Text(std::move(dump));
}

// --- Strings.

Command CommandGenerator::DrawSet() {
  Command command = {Word("SET"), Key(), Value()};
  const uint64_t options = prng_.Below(4);
  static constexpr WordList<8> kOptions = {"NX", "XX", "GET",  "KEEPTTL",
                                           "EX", "PX", "EXAT", "PXAT"};
  for (uint64_t index = 0; index + 1 < options; ++index) {
    const uint64_t pick = prng_.Below(kOptions.size());
    command.push_back(Word(kOptions[pick]));
    if (pick < 4 || prng_.Chance(1, 10)) continue;
    command.push_back(pick < 6 ? Duration(pick == 4) : Time(pick == 6));
  }
  if (OneIn(prng_, options_.bad_command_odds)) command.push_back(Word("WHAT"));
  return command;
}

Command CommandGenerator::DrawGetEx() {
  Command command = {Word("GETEX"), Key()};
  static constexpr WordList<6> kOptions = {"PERSIST", "EX", "PX", "EXAT", "PXAT", "KEEPTTL"};
  const uint64_t options = prng_.Chance(1, 8) ? 2 : prng_.Below(2);
  for (uint64_t index = 0; index < options; ++index) {
    const uint64_t pick = prng_.Below(kOptions.size());
    command.push_back(Word(kOptions[pick]));
    if (pick == 0 || pick == 5 || prng_.Chance(1, 10)) continue;
    command.push_back(pick <= 2 ? Duration(pick == 1) : Time(pick == 3));
  }
  return command;
}

Command CommandGenerator::DrawLcs() {
  Command command = {Word("LCS"), TextKey(), TextKey()};
  static constexpr WordList<5> kOptions = {"LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN", "WHAT"};
  while (prng_.Chance(1, 2)) {
    const uint64_t pick = prng_.Below(prng_.Chance(1, 8) ? 5 : 4);
    command.push_back(Word(kOptions[pick]));
    if (pick == 3) command.push_back(prng_.Chance(1, 6) ? Number() : Bytes::Text("2"));
  }
  return command;
}

Command CommandGenerator::DrawMany(std::string_view name, bool values) {
  Command command = {Word(name)};
  const uint64_t keys = prng_.Between(1, 5);
  for (uint64_t index = 0; index < keys; ++index) {
    command.push_back(Key());
    if (values) command.push_back(Value());
  }
  if (values && OneIn(prng_, options_.bad_command_odds)) command.pop_back();
  return command;
}

// So many keys that the server's table grows beyond its first segment, and some of them are there
// already.
Command CommandGenerator::DrawBulk() {
  constexpr uint64_t kKeys = 3000;
  const uint64_t first = prng_.Below(3) * (kKeys / 2);
  const bool deletes = prng_.Chance(1, 4);
  Command command = {Word(deletes ? "DEL" : "MSET")};
  for (uint64_t key = first; key < first + kKeys; ++key) {
    command.push_back(Bytes::Text("b" + std::to_string(key)));
    if (!deletes) command.push_back(Bytes::Text(std::to_string(key)));
  }
  return command;
}

Command CommandGenerator::DrawString() {
  switch (prng_.Below(34)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return {Word("GET"), Key()};
    case 4:
    case 5:
    case 6:
      return DrawSet();
    case 7:
      return {Word("INCR"), Key()};
    case 8:
      return {Word("DECR"), Key()};
    case 9:
      return {Word("INCRBY"), Key(), Number()};
    case 10:
      return {Word("DECRBY"), Key(), Number()};
    case 11:
    case 12:
      return {Word("INCRBYFLOAT"), Key(), Float()};
    case 13:
      return DrawMany("MGET", false);
    case 14:
      return DrawMany("MSET", true);
    case 15:
      return DrawMany("MSETNX", true);
    case 16:
      return {Word("APPEND"), Key(), Value()};
    case 17:
      return {Word("GETSET"), Key(), Value()};
    case 18:
      return {Word("GETDEL"), Key()};
    case 19:
    case 20:
      return DrawGetEx();
    case 21:
      return {Word("SETNX"), Key(), Value()};
    case 22:
      return {Word("SETEX"), Key(), Duration(true), Value()};
    case 23:
      return {Word("PSETEX"), Key(), Duration(false), Value()};
    case 24:
      return {Word("STRLEN"), Key()};
    case 25:
    case 26:
      return {Word(prng_.Chance(1, 3) ? "SUBSTR" : "GETRANGE"), Key(), Index(), Index()};
    case 27:
    case 28: {
      Command command = {Word("SETRANGE"), Key()};
      static constexpr WordList<3> kOdd = {"536870912", "-1", "9223372036854775807"};
      command.push_back(prng_.Chance(1, 8) ? Bytes::Text(std::string(Pick(prng_, kOdd)))
                                           : BitOffset());
      command.push_back(Value());
      return command;
    }
    case 29:
    case 30: {
      static constexpr std::string_view kLetters = "abc";
      Command command = {Word("SET"), TextKey()};
      std::string text;
      const uint64_t length = LogUniform(prng_, 64);
      for (uint64_t index = 0; index < length; ++index) text += kLetters[prng_.Below(3)];
      command.push_back(Bytes::Text(std::move(text)));
      return command;
    }
    default:
      return DrawLcs();
  }
}

// --- Bits.

Command CommandGenerator::DrawBitField() {
  const bool read_only = prng_.Chance(1, 4);
  Command command = {Word(read_only ? "BITFIELD_RO" : "BITFIELD"), Key()};
  static constexpr WordList<18> kTypes = {"u8",  "i8",  "u1",  "i1",  "u4",  "i5",
                                          "u16", "i16", "u63", "i64", "i32", "u32",
                                          "u64", "i65", "u0",  "x8",  "8",   "i"};
  static constexpr WordList<4> kOverflows = {"WRAP", "SAT", "FAIL", "WHAT"};
  static constexpr WordList<6> kOffsets = {"#0", "#1", "#7", "#-1", "#", "#4611686018427387904"};
  const uint64_t operations = prng_.Below(5);
  for (uint64_t index = 0; index < operations; ++index) {
    const uint64_t pick = prng_.Below(read_only && !prng_.Chance(1, 8) ? 1 : 6);
    if (pick == 5) {
      command.push_back(Word("OVERFLOW"));
      command.push_back(Word(kOverflows[prng_.Below(prng_.Chance(1, 8) ? 4 : 3)]));
      continue;
    }
    command.push_back(Word(pick == 0 ? "GET" : pick <= 2 ? "SET" : "INCRBY"));
    command.push_back(Word(kTypes[prng_.Below(prng_.Chance(1, 8) ? kTypes.size() : 12)]));
    command.push_back(prng_.Chance(1, 4) ? Bytes::Text(std::string(Pick(prng_, kOffsets)))
                                         : BitOffset());
    if (pick != 0) command.push_back(Number());
  }
  if (prng_.Chance(1, 20)) command.push_back(Word("GET"));
  return command;
}

Command CommandGenerator::DrawBits() {
  switch (prng_.Below(9)) {
    case 0: {
      static constexpr WordList<6> kBits = {"0", "1", "1", "0", "2", "abc"};
      return {Word("SETBIT"), Key(), BitOffset(), Bytes::Text(std::string(Pick(prng_, kBits)))};
    }
    case 1:
      return {Word("GETBIT"), Key(), BitOffset()};
    case 2:
    case 3: {
      Command command = {Word("BITCOUNT"), Key()};
      if (prng_.Chance(3, 4)) {
        command.push_back(Index());
        if (!prng_.Chance(1, 10)) command.push_back(Index());
      }
      static constexpr WordList<3> kUnits = {"BIT", "BYTE", "BITS"};
      if (prng_.Chance(1, 3)) command.push_back(Word(Pick(prng_, kUnits)));
      return command;
    }
    case 4:
    case 5: {
      static constexpr WordList<6> kBits = {"0", "1", "0", "1", "2", "x"};
      Command command = {Word("BITPOS"), Key(), Bytes::Text(std::string(Pick(prng_, kBits)))};
      const uint64_t ends = prng_.Below(3);
      for (uint64_t index = 0; index < ends; ++index) command.push_back(Index());
      static constexpr WordList<3> kUnits = {"BIT", "BYTE", "BITS"};
      if (prng_.Chance(1, 4)) command.push_back(Word(Pick(prng_, kUnits)));
      return command;
    }
    case 6: {
      static constexpr WordList<5> kOperations = {"AND", "OR", "XOR", "NOT", "NAND"};
      const uint64_t pick = prng_.Below(prng_.Chance(1, 8) ? 5 : 4);
      Command command = {Word("BITOP"), Word(kOperations[pick]), Key()};
      const uint64_t sources = pick == 3 && !prng_.Chance(1, 8) ? 1 : prng_.Between(1, 4);
      for (uint64_t index = 0; index < sources; ++index) command.push_back(Key());
      return command;
    }
    default:
      return DrawBitField();
  }
}

// --- Keys.

Command CommandGenerator::DrawScan() {
  Command command = {Word("SCAN")};
  static constexpr WordList<7> kCursors = {
      "-1", "abc", "", "18446744073709551615", "1", "18446744073709551616", " 0"};
  command.push_back(Bytes::Text(std::string(prng_.Chance(1, 8) ? Pick(prng_, kCursors) : "0")));
  if (!prng_.Chance(1, 8)) {
    command.push_back(Word("COUNT"));
    command.push_back(prng_.Chance(1, 8) ? Number() : Bytes::Text("100000"));
  }
  if (prng_.Chance(1, 2)) {
    command.push_back(Word("MATCH"));
    command.push_back(Pattern());
  }
  if (prng_.Chance(1, 3)) {
    static constexpr WordList<4> kTypes = {"STRING", "LIST", "HASH", "NOSUCH"};
    command.push_back(Word("TYPE"));
    command.push_back(Word(Pick(prng_, kTypes)));
  }
  if (OneIn(prng_, options_.bad_command_odds)) command.push_back(Word("MATCH"));
  return command;
}

Command CommandGenerator::DrawRestore() {
  Command command = {Word("RESTORE"), Key()};
  const bool absolute = prng_.Chance(1, 4);
  const uint64_t ttl = prng_.Below(3);
  command.push_back(ttl == 0 ? Bytes::Text("0") : absolute ? Time(false) : Duration(false));
  command.push_back(Dump());
  if (prng_.Chance(3, 4)) command.push_back(Word("REPLACE"));
  if (absolute) command.push_back(Word("ABSTTL"));
  static constexpr WordList<3> kOptions = {"IDLETIME", "FREQ", "WHAT"};
  if (prng_.Chance(1, 4)) {
    command.push_back(Word(Pick(prng_, kOptions)));
    if (!prng_.Chance(1, 8)) command.push_back(Number());
  }
  return command;
}

Command CommandGenerator::DrawExpiry() {
  static constexpr WordList<5> kConditions = {"NX", "XX", "ZZ", "GT", "LT"};
  const uint64_t pick = prng_.Below(10);
  static constexpr WordList<5> kAsking = {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "PERSIST"};
  if (pick < 5) return {Word(kAsking[pick]), Key()};
  static constexpr WordList<5> kSetting = {"EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "EXPIRE"};
  const std::string_view name = kSetting[pick - 5];
  const bool seconds = name[0] != 'P';
  Command command = {Word(name), Key(), name.ends_with("AT") ? Time(seconds) : Duration(seconds)};
  // Whether one duration ends later than another is up to the clock.
  const uint64_t conditions = options_.far_times && !name.ends_with("AT") ? 3 : 5;
  while (prng_.Chance(1, 4)) command.push_back(Word(kConditions[prng_.Below(conditions)]));
  return command;
}

Command CommandGenerator::DrawKey() {
  switch (prng_.Below(24)) {
    case 0:
      return DrawMany("DEL", false);
    case 1:
      return DrawMany("UNLINK", false);
    case 2:
      return DrawMany("EXISTS", false);
    case 3:
      return DrawMany("TOUCH", false);
    case 4:
      return {Word("TYPE"), Key()};
    case 5:
    case 6:
      return {Word("KEYS"), Pattern()};
    case 7:
    case 8:
    case 9:
      return DrawScan();
    case 10:
      return {Word("RANDOMKEY")};
    case 11:
    case 12:
      return {Word("RENAME"), Key(), Key()};
    case 13:
      return {Word("RENAMENX"), Key(), Key()};
    case 14:
    case 15: {
      Command command = {Word("COPY"), Key(), Key()};
      static constexpr WordList<3> kOptions = {"REPLACE", "DB", "WHAT"};
      while (prng_.Chance(1, 2)) {
        const uint64_t pick = prng_.Below(prng_.Chance(1, 8) ? 3 : 2);
        command.push_back(Word(kOptions[pick]));
        if (pick == 1) command.push_back(prng_.Chance(1, 2) ? Bytes::Text("0") : Number());
      }
      return command;
    }
    case 16:
    case 17:
    case 18: {
      static constexpr WordList<7> kAsking = {"ENCODING", "REFCOUNT", "IDLETIME", "FREQ",
                                              "ENCODING", "REFCOUNT", "WHAT"};
      return {Word("OBJECT"), Word(Pick(prng_, kAsking)), Key()};
    }
    case 19:
      return prng_.Chance(1, 4) ? Command{Word("OBJECT"), Word("HELP")}
                                : Command{Word("EXISTS"), Key()};
    case 20:
    case 21:
      return {Word("DUMP"), Key()};
    default:
      return DrawRestore();
  }
}

// --- The server and connections.

Command CommandGenerator::DrawServer() {
  switch (prng_.Below(16)) {
    case 0:
    case 1:
      return {Word("DBSIZE")};
    case 2: {
      Command command = {Word(prng_.Chance(1, 2) ? "FLUSHALL" : "FLUSHDB")};
      static constexpr WordList<3> kHow = {"ASYNC", "SYNC", "WHAT"};
      if (prng_.Chance(2, 3)) command.push_back(Word(Pick(prng_, kHow)));
      return command;
    }
    case 3: {
      Command command = {Word("SWAPDB")};
      static constexpr WordList<4> kDatabases = {"0", "1", "-1", "abc"};
      command.push_back(Bytes::Text(std::string(Pick(prng_, kDatabases))));
      command.push_back(Bytes::Text(std::string(Pick(prng_, kDatabases))));
      return command;
    }
    case 4:
      return {Word("TIME")};
    case 5: {
      static constexpr WordList<8> kSections = {"server", "clients", "memory",   "stats",
                                                "cpu",    "nosuch",  "keyspace", "replication"};
      Command command = {Word("INFO")};
      while (prng_.Chance(1, 2)) command.push_back(Word(Pick(prng_, kSections)));
      return command;
    }
    case 6:
    case 7: {
      static constexpr WordList<9> kNames = {"maxclients", "save",       "appendonly",
                                             "timeout",    "databases",  "maxmemory",
                                             "nosuch",     "MAXCLIENTS", "maxmemory-policy"};
      return {Word("CONFIG"), Word("GET"), Bytes::Text(std::string(Pick(prng_, kNames)))};
    }
    case 8: {
      static constexpr WordList<4> kNames = {"maxclients", "MAXCLIENTS", "nosuch", "databases"};
      static constexpr WordList<4> kValues = {"abc", "0", "10000", ""};
      Command command = {Word("CONFIG"), Word("SET")};
      command.push_back(Bytes::Text(std::string(Pick(prng_, kNames))));
      command.push_back(Bytes::Text(std::string(Pick(prng_, kValues))));
      return command;
    }
    case 9:
      return {Word("CONFIG"), Word("RESETSTAT")};
    case 10:
      return {Word("CONFIG"), Word("REWRITE")};
    case 11: {
      Command command = {Word("LOLWUT")};
      if (prng_.Chance(1, 2)) {
        command.push_back(Word("VERSION"));
        command.push_back(Number());
      }
      return command;
    }
    case 12: {
      static constexpr WordList<3> kWhat = {"SLEEP", "JMAP", "OBJECT"};
      return {Word("DEBUG"), Word(Pick(prng_, kWhat)), Bytes::Text("0")};
    }
    default:
      return DrawIntrospection();
  }
}

Command CommandGenerator::DrawIntrospection() {
  static constexpr WordList<16> kNames = {
      "get",    "set",  "MSET", "bitop",    "restore",   "client",    "config|get",   "nosuch",
      "object", "copy", "lcs",  "bitfield", "client|no", "randomkey", "command|info", "scan"};
  switch (prng_.Below(8)) {
    case 0:
      return {Word("COMMAND"), Word("COUNT")};
    case 1:
    case 2: {
      Command command = {Word("COMMAND"), Word(prng_.Chance(1, 2) ? "INFO" : "DOCS")};
      command.push_back(Bytes::Text(std::string(Pick(prng_, kNames))));
      if (prng_.Chance(1, 2)) command.push_back(Bytes::Text(std::string(Pick(prng_, kNames))));
      return command;
    }
    case 3: {
      static constexpr WordList<4> kFilters = {"PATTERN", "ACLCAT", "MODULE", "WHAT"};
      static constexpr WordList<4> kValues = {"g*t", "bitmap", "nosuch", "get"};
      Command command = {Word("COMMAND"), Word("LIST"), Word("FILTERBY")};
      command.push_back(Word(Pick(prng_, kFilters)));
      command.push_back(Bytes::Text(std::string(Pick(prng_, kValues))));
      return command;
    }
    default: {
      Command command = {Word("COMMAND"), Word(prng_.Chance(1, 3) ? "GETKEYSANDFLAGS" : "GETKEYS")};
      const Command about = prng_.Chance(1, 2) ? DrawString() : DrawKey();
      command.insert(command.end(), about.begin(), about.end());
      return command;
    }
  }
}

Command CommandGenerator::DrawClient() {
  switch (prng_.Below(9)) {
    case 0:
      return {Word("CLIENT"), Word("ID")};
    case 1:
      return {Word("CLIENT"), Word("SETNAME"), Bytes::Text(prng_.Chance(1, 4) ? "a b" : "name")};
    case 2:
      return {Word("CLIENT"), Word("GETNAME")};
    case 3:
      return {Word("CLIENT"), Word("SETINFO"), Word(prng_.Chance(3, 4) ? "LIB-NAME" : "OTHER"),
              Bytes::Text("orrery")};
    case 4:
      return {Word("CLIENT"), Word("INFO")};
    case 5: {
      Command command = {Word("CLIENT"), Word("LIST")};
      static constexpr WordList<6> kTypes = {"normal", "master", "replica",
                                             "pubsub", "slave",  "nosuch"};
      if (prng_.Chance(1, 3)) {
        command.push_back(Word("TYPE"));
        command.push_back(Word(Pick(prng_, kTypes)));
      } else if (prng_.Chance(1, 2)) {
        command.push_back(Word("ID"));
        while (prng_.Chance(1, 2)) command.push_back(Number());
      }
      return command;
    }
    case 6: {
      static constexpr WordList<3> kModes = {"ON", "OFF", "WHAT"};
      return {Word("CLIENT"), Word("NO-EVICT"), Word(Pick(prng_, kModes))};
    }
    case 7: {
      static constexpr WordList<3> kModes = {"ON", "OFF", "WHAT"};
      return {Word("CLIENT"), Word("NO-TOUCH"), Word(Pick(prng_, kModes))};
    }
    default:
      return {Word("CLIENT"), Word("UNPAUSE")};
  }
}

Command CommandGenerator::DrawPubSub() {
  const uint64_t pick = prng_.Below(20);
  if (pick < 8) return {Word(pick < 6 ? "PUBLISH" : "SPUBLISH"), Channel(), Value()};
  if (pick < 16) {
    static constexpr WordList<8> kNames = {"SUBSCRIBE",    "SUBSCRIBE",   "PSUBSCRIBE",
                                           "SSUBSCRIBE",   "UNSUBSCRIBE", "UNSUBSCRIBE",
                                           "PUNSUBSCRIBE", "SUNSUBSCRIBE"};
    const std::string_view name = kNames[pick - 8];
    const bool ends = pick >= 12;
    Command command = {Word(name)};
    const uint64_t topics = ends && prng_.Chance(1, 3) ? 0 : prng_.Between(1, 3);
    for (uint64_t index = 0; index < topics; ++index) {
      command.push_back(name[0] == 'P' ? ChannelPattern() : Channel());
    }
    return command;
  }
  static constexpr WordList<6> kAsking = {"CHANNELS",      "NUMSUB",      "NUMPAT",
                                          "SHARDCHANNELS", "SHARDNUMSUB", "WHAT"};
  const std::string_view what = Pick(prng_, kAsking);
  Command command = {Word("PUBSUB"), Word(what)};
  const uint64_t arguments = prng_.Below(what.ends_with("SUB") ? 3 : 2);
  for (uint64_t index = 0; index < arguments; ++index) {
    command.push_back(what.ends_with("SUB") ? Channel() : ChannelPattern());
  }
  return command;
}

// What takes effect on connections. Times are short: who waits is served within the run.
Command CommandGenerator::DrawControl() {
  switch (prng_.Below(12)) {
    case 0:
      return {Word("QUIT")};
    case 1:
    case 2:
    case 3:
    case 4: {
      Command command = {Word("CLIENT"), Word("PAUSE")};
      command.push_back(prng_.Chance(1, 8) ? Bytes::Text("abc")
                                           : Bytes::Text(std::to_string(LogUniform(prng_, 1000))));
      static constexpr WordList<3> kModes = {"ALL", "WRITE", "WHAT"};
      if (prng_.Chance(2, 3)) command.push_back(Word(kModes[prng_.Below(OneIn(prng_, 8) ? 3 : 2)]));
      return command;
    }
    case 5:
      return {Word("CLIENT"), Word("UNPAUSE")};
    case 6:
    case 7: {
      static constexpr WordList<6> kModes = {"SKIP", "SKIP", "OFF", "ON", "ON", "WHAT"};
      return {Word("CLIENT"), Word("REPLY"), Word(Pick(prng_, kModes))};
    }
    case 8:
    case 9: {
      Command command = {Word("CLIENT"), Word("KILL"), Word("ID")};
      command.push_back(Bytes::Text(std::to_string(prng_.Between(1, 6))));
      if (prng_.Chance(2, 3)) {
        command.push_back(Word("SKIPME"));
        command.push_back(Word(prng_.Chance(1, 4) ? "yes" : "no"));
      }
      return command;
    }
    default: {
      static constexpr WordList<6> kWrong = {"127.0.0.1:0", "nosuch", "ID", "TYPE", "USER", ""};
      Command command = {Word("CLIENT"), Word("KILL"),
                         Bytes::Text(std::string(Pick(prng_, kWrong)))};
      if (prng_.Chance(1, 2)) command.push_back(Bytes::Text("x"));
      return command;
    }
  }
}

Command CommandGenerator::DrawConnection() {
  switch (prng_.Below(12)) {
    case 0:
      return {Word("ECHO"), Value()};
    case 1:
      return {Word("SELECT"), Number()};
    case 2:
    case 3:
      return {Word("HELLO"), Bytes::Text(prng_.Chance(1, 2) ? "3" : "2")};
    case 4:
      return {Word("HELLO"), Number(), Word("SETNAME"), Bytes::Text("n")};
    case 5:
      return prng_.Chance(1, 4) ? Command{Word("RESET")} : Command{Word("PING")};
    case 6:
      return {Word("PING"), Value()};
    case 7:
      return {Word("PING")};
    default:
      return DrawClient();
  }
}

Command CommandGenerator::DrawAdministration() {
  static constexpr WordList<5> kWrong = {"", "Secret", "secret1", "default", "x"};
  const bool right = prng_.Chance(1, 2);
  const Bytes password = Bytes::Text(right ? options_.password : std::string(Pick(prng_, kWrong)));
  switch (prng_.Below(11)) {
    case 0:
      return {Word("AUTH"), Bytes::Text("default"), password};
    case 1:
      return {Word("AUTH"), Bytes::Text("nobody"), password};
    case 2:
      return {Word("AUTH"), Bytes::Text("default"), password, password};
    case 3:
      return {Word("HELLO"), Bytes::Text(prng_.Chance(1, 2) ? "3" : "2"), Word("AUTH"),
              Bytes::Text("default"), password};
    case 4: {
      static constexpr WordList<6> kCounts = {"0", "1", "-1", "-2", "abc", "1000"};
      Command command = {Word("SLOWLOG"), Word("GET")};
      while (prng_.Chance(1, 2)) command.push_back(Bytes::Text(std::string(Pick(prng_, kCounts))));
      return command;
    }
    case 5:
      return {Word("SLOWLOG"), Word("LEN")};
    case 6:
      return {Word("SLOWLOG"), Word("RESET")};
    case 7: {
      static constexpr WordList<3> kFirst = {"ABORT", "x", ""};
      static constexpr WordList<4> kMore = {"NOSAVE", "NOW", "FORCE", "ABORT"};
      Command command = {Word("SHUTDOWN"), Word(Pick(prng_, kFirst))};
      while (prng_.Chance(1, 2)) command.push_back(Word(Pick(prng_, kMore)));
      return command;
    }
    default:
      return {Word("AUTH"), password};
  }
}

Command CommandGenerator::DrawTransaction() {
  const uint64_t pick = prng_.Below(32);
  if (pick < 8) return {Word("MULTI")};
  if (pick < 20) return {Word("EXEC")};
  if (pick < 28) return DrawMany("WATCH", false);
  if (pick < 30) return {Word("UNWATCH")};
  if (pick == 30) return {Word("DISCARD")};
  return {Word(prng_.Chance(1, 2) ? "EXEC" : "DISCARD"), Key()};
}

Command CommandGenerator::DrawBad() {
  switch (prng_.Below(9)) {
    case 0:
      return {Word("NOSUCH"), Key(), Value()};
    case 1:
      return {Word("GET")};
    case 2:
      return {Word("GET"), Key(), Key()};
    case 3:
      return {Word("CLIENT"), Word("NOSUCH")};
    case 4:
      return {Bytes::Text("a\r\nb"), Bytes::Text("c\r\nd")};
    case 5:
      return {Word("CLIENT")};
    default: {
      // A right one with an argument too few or too many.
      Command command = prng_.Chance(1, 2)   ? DrawString()
                        : prng_.Chance(1, 2) ? DrawKey()
                                             : DrawBits();
      if (prng_.Chance(1, 2) && command.size() > 1) {
        command.pop_back();
      } else {
        command.push_back(Value());
      }
      return command;
    }
  }
}

// --- Themes.

Command CommandGenerator::DrawOnLargeValues() {
  switch (prng_.Below(8)) {
    case 0:
    case 1:
      return {Word("SET"), Key(), Value()};
    case 2:
      return {Word("APPEND"), Key(), Value()};
    case 3:
      return {Word("SETRANGE"), Key(), Index(), Value()};
    case 4:
      return {Word("SETBIT"), Key(), BitOffset(), Bytes::Text("1")};
    default:
      return {Word("GET"), Key()};
  }
}

Command CommandGenerator::DrawOnShortLives() {
  const Bytes soon = Bytes::Text(std::to_string(LogUniform(prng_, 64)));
  switch (prng_.Below(12)) {
    case 0:
    case 1:
      return {Word("SET"), Key(), Value(), Word("PX"), soon};
    case 2:
      return {Word("PEXPIRE"), Key(), soon};
    case 3:
      return {Word("APPEND"), Key(), Value()};
    case 4:
      return {Word("RENAME"), Key(), Key()};
    case 5:
      return {Word("COPY"), Key(), Key(), Word("REPLACE")};
    case 6:
      return {Word("KEYS"), Bytes::Text("*")};
    case 7:
      return {Word("SCAN"), Bytes::Text("0"), Word("COUNT"), Bytes::Text("100000")};
    case 8:
      return {Word("PTTL"), Key()};
    case 9:
      return {Word("RANDOMKEY")};
    default:
      return {Word("GET"), Key()};
  }
}

Command CommandGenerator::Draw() {
  if (OneIn(prng_, options_.control_odds)) return DrawControl();
  if (OneIn(prng_, options_.admin_odds)) return DrawAdministration();
  if (OneIn(prng_, options_.pubsub_odds)) return DrawPubSub();
  if (OneIn(prng_, options_.transaction_odds)) return DrawTransaction();
  if (options_.theme != Theme::kNone && prng_.Chance(1, 2)) {
    return options_.theme == Theme::kLargeValues ? DrawOnLargeValues() : DrawOnShortLives();
  }
  if (OneIn(prng_, options_.bulk_odds)) return DrawBulk();
  if (OneIn(prng_, options_.bad_command_odds)) return DrawBad();
  switch (prng_.Below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return DrawBits();
    case 4:
    case 5:
    case 6:
    case 7:
      return DrawKey();
    case 8:
    case 9:
      return DrawExpiry();
    case 10:
      return DrawServer();
    case 11:
    case 12:
      return DrawConnection();
    default:
      return DrawString();
  }
}

}  // namespace orrery::scenarios
