// Runs what clients send: bytes in, replies out.
//
// A pipeline is read in batches: first a batch is parsed while the buckets of its keys are fetched
// into the cache, then their entries are, then its commands run in order. Knows nothing of rings
// and connections. Owned by the shard, used by its thread only; one processor serves all clients.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/pending_output.h"
#include "server/client.h"
#include "server/command_table.h"
#include "server/keyspace.h"
#include "server/resp_parser.h"
#include "server/router.h"
#include "server/server_context.h"

namespace orrery::server {

// Why Process() stopped.
enum class ProcessEnd : uint8_t {
  kNeedMore,  // What is left of the input, if anything, is the beginning of a frame.
  // Go on with what is left when some of the output has gone; or cut the client off, if what waits
  // has reached its limit (ServerConfig::output_limits).
  kOutputFull,
  kPaused,   // Go on with what is left when the pause is over (CLIENT PAUSE).
  kWaiting,  // Go on with what is left when the router says so (server/router.h).
  kClosing,  // Nothing more is read from the client: after QUIT, or a protocol error.
};

struct ProcessResult {
  // Bytes at the front of the input that are done with.
  size_t consumed_bytes = 0;
  ProcessEnd end = ProcessEnd::kNeedMore;
};

class CommandProcessor {
 public:
  // Commands that are parsed ahead.
  static constexpr size_t kBatchMax = 64;

  // The statistics of the server's commands start here. `router` is null where there is one shard.
  explicit CommandProcessor(ServerContext& server, Router* router = nullptr);
  CommandProcessor(const CommandProcessor&) = delete;
  CommandProcessor& operator=(const CommandProcessor&) = delete;

  // Runs the commands at the front of `input` and appends their replies to `output`. The next call
  // for this client starts with the bytes that were not consumed, moved elsewhere or not, and has
  // more behind them, or has room in `output` again. No command starts once `output_bytes_max`
  // bytes are in `output`; one command may go beyond, as far as the client's hard limit. After
  // kClosing the client is not processed again.
  ProcessResult Process(std::string_view input, Client& client, PendingOutput& output,
                        size_t output_bytes_max);

 private:
  struct Prepared {
    Command command;
    const CommandSpec* spec = nullptr;
    size_t first_key = 0;  // Which argument is its first key; 0: none is.
    uint64_t first_key_hash = 0;
    Keyspace::BucketHint bucket = nullptr;  // Of that key; null: it is not here, or there is none.
    Router::Target target = {};
    size_t end = 0;         // Where in the batch's input the next frame starts.
    bool is_plain = false;  // As ExecutePlain() wants it.
  };

  // Parses up to `batch_max` commands, looks them up and gets their first keys near, where those
  // are here; `count` says how many. Returns the last result of the parser.
  template <bool kRouted>
  ParseResult ReadBatch(std::string_view input, Client& client, size_t batch_max, size_t& count);
  // Looks a command up that has been parsed.
  template <bool kRouted>
  void LookUp(Prepared& prepared) const;
  // Finds out where its first key is, and gets the bucket near.
  template <bool kRouted>
  void FindKey(Prepared& prepared) const;

  // Whether what is plain may run by ExecutePlain(), for which everything is set then.
  bool SetUpForPlain(const Client& client, ReplyWriter& reply);
  // Whether a pause holds it back.
  bool MustWait(const Prepared& prepared, const Client& client) const;

  ServerContext& server_;
  Router* const router_;
  std::array<Prepared, kBatchMax> batch_;
};

}  // namespace orrery::server
