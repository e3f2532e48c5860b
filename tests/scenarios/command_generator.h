// Draws commands of every kind that the server knows: right ones, wrong ones, edges.
//
// One generator for the simulation's workload, for the comparison of the sequential model with
// redis-server, and for the differential test of the server. Few keys, so that commands meet on
// them. Deterministic: the same draws on every platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/prng.h"
#include "tests/scenarios/command.h"

namespace orrery::scenarios {

// What every other command is about.
enum class Theme : uint8_t {
  kNone,
  kLargeValues,  // Written and read while replies are under way.
  kShortLives,   // Keys that expire soon, changed and looked for.
};

struct CommandOptions {
  Theme theme = Theme::kNone;
  uint64_t keys = 6;
  uint64_t value_bytes_max = 1 << 20;
  // One in so many; 0 never.
  uint64_t big_value_odds = 20;
  // The size of all big values; 0: many sizes.
  uint64_t big_value_bytes = 0;
  uint64_t bad_command_odds = 10;
  // Commands that end or silence connections, or make them wait: QUIT, CLIENT KILL, PAUSE, REPLY.
  uint64_t control_odds = 0;
  // What administrators say: AUTH and HELLO AUTH, with this password or another one; SLOWLOG; a
  // SHUTDOWN that is refused.
  uint64_t admin_odds = 0;
  std::string password = "secret";
  // Publish and subscribe.
  uint64_t pubsub_odds = 0;
  // MSETs and DELs of thousands of keys.
  uint64_t bulk_odds = 0;
  // MULTI, EXEC, WATCH and their like, each by itself; see AddTransactions() for whole ones.
  uint64_t transaction_odds = 0;
  // Times to live are so long that the real clock ends none of them.
  bool far_times = false;
  // The Unix time at which a run starts, for absolute times.
  int64_t start_s = 1'700'000'000;
};

class CommandGenerator {
 public:
  // Both must outlive the generator.
  CommandGenerator(Prng& prng, const CommandOptions& options) : prng_(prng), options_(options) {}

  Command Draw();

 private:
  // --- Arguments.
  Bytes Word(std::string_view text);
  Bytes Key();
  // Of small texts: what costs the product of two lengths works on these.
  Bytes TextKey();
  Bytes Value();
  Bytes Number();
  Bytes Float();
  Bytes Index();
  Bytes BitOffset();
  Bytes Pattern();
  Bytes Channel();
  Bytes ChannelPattern();
  // How long from now, in seconds or milliseconds; and when.
  Bytes Duration(bool seconds);
  Bytes Time(bool seconds);
  Bytes Dump();

  // --- Families.
  Command DrawString();
  Command DrawBits();
  Command DrawKey();
  Command DrawExpiry();
  Command DrawServer();
  Command DrawConnection();
  Command DrawClient();
  Command DrawControl();
  Command DrawAdministration();
  Command DrawTransaction();
  Command DrawIntrospection();
  Command DrawPubSub();
  Command DrawBad();

  Command DrawOnLargeValues();
  Command DrawOnShortLives();

  Command DrawSet();
  Command DrawGetEx();
  Command DrawLcs();
  Command DrawBitField();
  Command DrawScan();
  Command DrawRestore();
  Command DrawMany(std::string_view name, bool values);
  Command DrawBulk();

  Prng& prng_;
  const CommandOptions& options_;
};

}  // namespace orrery::scenarios
