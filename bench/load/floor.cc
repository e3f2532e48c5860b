// The floor: the least that a RESP server on io_uring can do. What a real server costs beyond this
// is the server's own, and not the kernel's.
//
// Multishot receives from provided buffers, a superficial parser, the reply that the request asks
// for without having it (GET: always the same value), one send a connection a turn. It stores
// nothing, checks next to nothing, and trusts the load generator beside it: SET, GET, MSET, MGET,
// PUBLISH, SUBSCRIBE. With --table it does have a table, of small keys and values, as plain as one
// can be: the whole pipeline is parsed, its slots are fetched into the cache, then it is executed.
//
// Not a server for anything else. One thread; ends with the signal that ends it.
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/loopback.h"
#include "base/short_bytes.h"
#include "bench/load/receive_ring.h"

namespace orrery::bench {
namespace {

struct Options {
  uint16_t port = 7000;
  size_t value_bytes = 3;
  bool table = false;
  unsigned table_bits = 18;
  unsigned buffers = 4096;
  size_t buffer_bytes = 4096;
  int64_t spin_us = 0;
};

constexpr int kBacklog = 4096;
constexpr rlim_t kDescriptorsMax = 65'536;
// Large values are sent without a copy of ours, from as much memory as a server's values of the
// workload take: to send one that is in the processor's cache costs half. Those to one connection
// in one turn lie side by side.
constexpr size_t kLargeValueBytes = 1024;
constexpr size_t kLargeValuesBytes = 64'000'000;
constexpr size_t kLargeReplyBytesMax = size_t{4} << 20;
// Places are taken so far apart that none is read ahead.
constexpr size_t kLargeStride = 379;

enum class Operation : uint64_t { kAccept, kReceive, kSend, kClose };

uint64_t Tag(Operation operation, int descriptor) {
  return static_cast<uint64_t>(operation) << 32 | static_cast<uint32_t>(descriptor);
}

// Where in the stream a connection's parser stands.
enum class Expects : uint8_t { kCount, kCountDigits, kLength, kLengthDigits, kBytes };

struct Connection {
  int descriptor = -1;
  bool queued = false;  // In the list of those who have something to send.
  bool closed = false;
  bool subscribed = false;
  // One is being sent, the other one is written to.
  std::array<std::string, 2> output;
  unsigned writing = 0;
  size_t large_replies = 0;
  size_t sending_bytes = 0;  // 0: no send is in flight.

  Expects expects = Expects::kCount;
  std::array<char, 12> name{};
  size_t name_bytes = 0;
  size_t name_copied = 0;
  uint64_t number = 0;
  uint64_t arguments = 0;
  uint64_t argument = 0;
  uint64_t bytes_left = 0;
};

// A key and its value in one cache line.
struct alignas(64) TableSlot {
  static constexpr size_t kKeyBytesMax = 22;
  static constexpr size_t kValueBytesMax = 32;
  uint64_t hash = 0;  // 0: free.
  uint8_t key_bytes = 0;
  uint8_t value_bytes = 0;
  std::array<char, kKeyBytesMax> key;
  std::array<char, kValueBytesMax> value;
};
static_assert(sizeof(TableSlot) == 64);

struct TableRequest {
  std::string_view key;
  std::string_view value;
  uint64_t hash = 0;
  bool is_set = false;
};

class Table {
 public:
  explicit Table(unsigned bits) : slots_(size_t{1} << bits), mask_(slots_.size() - 1) {}

  static uint64_t Hash(std::string_view key) {
    const uint64_t front = LoadUpToWord(key);
    const uint64_t back = key.size() > 8 ? LoadWord<uint64_t>(key.data() + key.size() - 8) : 0;
    const auto product = static_cast<unsigned __int128>(front ^ 0xa0761d6478bd642f) *
                         (back ^ 0xe7037ed1a0b428db ^ key.size());
    return (static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64)) | 1;
  }
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&slots_[hash >> 20 & mask_]); }
  // The key's slot, or a free one for it.
  TableSlot& Find(const TableRequest& request) {
    for (size_t index = request.hash >> 20 & mask_;; index = (index + 1) & mask_) {
      TableSlot& slot = slots_[index];
      if (slot.hash == 0) return slot;
      if (slot.hash == request.hash && SameBytes({slot.key.data(), slot.key_bytes}, request.key)) {
        return slot;
      }
    }
  }

 private:
  std::vector<TableSlot> slots_;
  size_t mask_;
};

class Floor {
 public:
  explicit Floor(const Options& options);
  [[noreturn]] void Run();

 private:
  void ArmAccept();
  void ArmReceive(const Connection& connection);
  void HandleAccept(const io_uring_cqe& cqe);
  void HandleReceive(Connection& connection, const io_uring_cqe& cqe);
  void HandleSend(Connection& connection, const io_uring_cqe& cqe);
  void Send(Connection& connection);
  void Close(Connection& connection);
  void Queue(Connection& connection);
  void Wait();

  void Append(Connection& connection, std::string_view bytes);
  void AppendValue(Connection& connection);
  void Parse(Connection& connection, std::string_view bytes);
  void ParseForTable(Connection& connection, std::string_view bytes);
  void Execute(Connection& connection);
  void ExecuteOnTable(Connection& connection, const TableRequest& request);
  void Publish(Connection& publisher);

  const Options options_;
  ReceiveRing ring_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;  // By descriptor.
  std::vector<Connection*> queued_;
  std::vector<Connection*> subscribers_;
  std::string value_reply_;
  std::string large_replies_;
  size_t large_place_ = 0;  // Of the last that was sent.
  std::string message_;
  Table table_;
  std::vector<TableRequest> batch_;
};

Floor::Floor(const Options& options)
    : options_(options),
      ring_({.setup_flags = IORING_SETUP_TASKRUN_FLAG,
             .cq_entries = 65'536,
             .buffers = options.buffers,
             .buffer_bytes = options.buffer_bytes}),
      table_(options.table ? options.table_bits : 0) {
  const std::string value(options.value_bytes, 'x');
  const std::string bulk = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  value_reply_ = bulk;
  message_ = "*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n" + bulk;
  if (value.size() >= kLargeValueBytes) {
    while (large_replies_.size() < kLargeValuesBytes) large_replies_ += bulk;
  }

  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address = Loopback(options.port);
  ORRERY_CHECK_MSG(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
                   "the port is in use");
  ORRERY_CHECK(listen(listener_, kBacklog) == 0);
}

void Floor::ArmAccept() {
  io_uring_sqe* const sqe = ring_.NextSqe();
  io_uring_prep_multishot_accept(sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
  sqe->user_data = Tag(Operation::kAccept, listener_);
}

void Floor::ArmReceive(const Connection& connection) {
  ring_.ArmReceive(connection.descriptor, Tag(Operation::kReceive, connection.descriptor));
}

void Floor::Queue(Connection& connection) {
  if (connection.queued) return;
  connection.queued = true;
  queued_.push_back(&connection);
}

void Floor::Append(Connection& connection, std::string_view bytes) {
  connection.output[connection.writing].append(bytes);
  Queue(connection);
}

void Floor::AppendValue(Connection& connection) {
  const bool fits = connection.output[connection.writing].empty() &&
                    (connection.large_replies + 1) * value_reply_.size() <= kLargeReplyBytesMax;
  if (large_replies_.empty() || !fits) {
    Append(connection, value_reply_);
    return;
  }
  ++connection.large_replies;
  Queue(connection);
}

void Floor::Publish(Connection& publisher) {
  for (Connection* subscriber : subscribers_) Append(*subscriber, message_);
  Append(publisher, ":" + std::to_string(subscribers_.size()) + "\r\n");
}

// By the name's length and first letters: nothing else comes.
void Floor::Execute(Connection& connection) {
  const char first = static_cast<char>(connection.name[0] | 0x20);
  const char second = static_cast<char>(connection.name[1] | 0x20);
  switch (connection.name_bytes) {
    case 3:
      if (first == 'g') return AppendValue(connection);
      return Append(connection, "+OK\r\n");
    case 4:
      if (second == 's') return Append(connection, "+OK\r\n");
      if (second == 'i') return Append(connection, "+PONG\r\n");
      Append(connection, "*" + std::to_string(connection.arguments - 1) + "\r\n");
      for (uint64_t i = 1; i < connection.arguments; ++i) Append(connection, value_reply_);
      return;
    case 7:
      return Publish(connection);
    case 9:
      connection.subscribed = true;
      subscribers_.push_back(&connection);
      return Append(connection, "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n");
    default:
      return Append(connection, "-ERR unknown command\r\n");
  }
}

void Floor::Parse(Connection& connection, std::string_view bytes) {
  const char* at = bytes.data();
  const char* const end = at + bytes.size();
  // Reads digits up to the end of the line; false: the line goes on in the next piece.
  const auto digits = [&] {
    for (; at < end && *at != '\n'; ++at) {
      if (*at != '\r')
        connection.number = connection.number * 10 + static_cast<uint64_t>(*at - '0');
    }
    return at < end && *at++ == '\n';
  };
  while (at < end) {
    switch (connection.expects) {
      case Expects::kCount:
      case Expects::kLength:
        ++at;
        connection.number = 0;
        connection.expects =
            connection.expects == Expects::kCount ? Expects::kCountDigits : Expects::kLengthDigits;
        break;
      case Expects::kCountDigits:
        if (!digits()) return;
        connection.arguments = connection.number;
        connection.argument = 0;
        connection.expects = Expects::kLength;
        break;
      case Expects::kLengthDigits:
        if (!digits()) return;
        connection.bytes_left = connection.number + 2;
        if (connection.argument == 0) {
          connection.name_bytes = connection.number;
          connection.name_copied = 0;
        }
        connection.expects = Expects::kBytes;
        break;
      case Expects::kBytes: {
        const size_t part =
            std::min<uint64_t>(connection.bytes_left, static_cast<size_t>(end - at));
        if (connection.argument == 0) {
          for (size_t i = 0; i < part && connection.name_copied < connection.name.size(); ++i) {
            connection.name[connection.name_copied++] = at[i];
          }
        }
        at += part;
        connection.bytes_left -= part;
        if (connection.bytes_left > 0) return;
        connection.expects = Expects::kLength;
        if (++connection.argument == connection.arguments) {
          Execute(connection);
          connection.expects = Expects::kCount;
        }
        break;
      }
    }
  }
}

void Floor::ExecuteOnTable(Connection& connection, const TableRequest& request) {
  TableSlot& slot = table_.Find(request);
  if (request.is_set) {
    if (slot.hash == 0) {
      slot.hash = request.hash;
      slot.key_bytes = static_cast<uint8_t>(request.key.size());
      CopyBytes(slot.key.data(), request.key);
    }
    slot.value_bytes = static_cast<uint8_t>(request.value.size());
    CopyBytes(slot.value.data(), request.value);
    return Append(connection, "+OK\r\n");
  }
  if (slot.hash == 0) return Append(connection, "$-1\r\n");
  std::array<char, TableSlot::kValueBytesMax + 8> reply;
  size_t size = 0;
  reply[size++] = '$';
  if (slot.value_bytes > 9) reply[size++] = static_cast<char>('0' + slot.value_bytes / 10);
  reply[size++] = static_cast<char>('0' + slot.value_bytes % 10);
  reply[size++] = '\r';
  reply[size++] = '\n';
  CopyBytes(reply.data() + size, {slot.value.data(), slot.value_bytes});
  size += slot.value_bytes;
  reply[size++] = '\r';
  reply[size++] = '\n';
  Append(connection, {reply.data(), size});
}

// Whole GETs and SETs of small keys and values; what is not one is left to Parse().
void Floor::ParseForTable(Connection& connection, std::string_view bytes) {
  constexpr size_t kCommandBytes = sizeof("*2\r\n$3\r\nGET\r\n") - 1;
  constexpr size_t kBatchMax = 512;
  batch_.clear();
  const auto bulk = [&bytes](size_t& at, size_t bytes_max, std::string_view& argument) {
    if (at >= bytes.size() || bytes[at] != '$') return false;
    size_t size = 0;
    for (++at; at < bytes.size() && bytes[at] != '\r'; ++at) {
      size = size * 10 + static_cast<size_t>(bytes[at] - '0');
    }
    at += 2;
    if (size > bytes_max || at + size + 2 > bytes.size()) return false;
    argument = bytes.substr(at, size);
    at += size + 2;
    return true;
  };
  while (connection.expects == Expects::kCount && batch_.size() < kBatchMax &&
         bytes.size() > kCommandBytes && bytes[0] == '*' && bytes[5] == '3') {
    TableRequest request;
    request.is_set = (bytes[8] | 0x20) == 's';
    size_t at = kCommandBytes;
    if (!bulk(at, TableSlot::kKeyBytesMax, request.key)) break;
    if (request.is_set && !bulk(at, TableSlot::kValueBytesMax, request.value)) break;
    request.hash = Table::Hash(request.key);
    table_.Prefetch(request.hash);
    batch_.push_back(request);
    bytes.remove_prefix(at);
  }
  for (const TableRequest& request : batch_) ExecuteOnTable(connection, request);
  if (bytes.empty()) return;
  if (batch_.size() == kBatchMax) return ParseForTable(connection, bytes);
  Parse(connection, bytes);
}

void Floor::HandleAccept(const io_uring_cqe& cqe) {
  if (cqe.res >= 0) {
    const auto descriptor = static_cast<size_t>(cqe.res);
    if (descriptor >= connections_.size()) connections_.resize(descriptor + 1);
    connections_[descriptor] = std::make_unique<Connection>();
    connections_[descriptor]->descriptor = cqe.res;
    ArmReceive(*connections_[descriptor]);
  }
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) ArmAccept();
}

void Floor::HandleReceive(Connection& connection, const io_uring_cqe& cqe) {
  if (cqe.res > 0) {
    const std::string_view bytes = ring_.Received(cqe);
    options_.table ? ParseForTable(connection, bytes) : Parse(connection, bytes);
  }
  ring_.Recycle(cqe);
  if (cqe.res == 0 || (cqe.res < 0 && cqe.res != -ENOBUFS)) return Close(connection);
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) ArmReceive(connection);
}

void Floor::Send(Connection& connection) {
  const char* bytes = nullptr;
  size_t size = 0;
  if (connection.large_replies > 0) {
    const size_t places = large_replies_.size() / value_reply_.size() - connection.large_replies;
    large_place_ = (large_place_ + kLargeStride) % (places + 1);
    bytes = large_replies_.data() + large_place_ * value_reply_.size();
    size = std::exchange(connection.large_replies, 0) * value_reply_.size();
  } else {
    std::string& output = connection.output[connection.writing];
    if (output.empty()) return;
    bytes = output.data();
    size = output.size();
    connection.writing ^= 1;
    connection.output[connection.writing].clear();
  }
  io_uring_sqe* const sqe = ring_.NextSqe();
  io_uring_prep_send(sqe, connection.descriptor, bytes, size, MSG_WAITALL | MSG_NOSIGNAL);
  sqe->user_data = Tag(Operation::kSend, connection.descriptor);
  connection.sending_bytes = size;
}

void Floor::HandleSend(Connection& connection, const io_uring_cqe& cqe) {
  ORRERY_CHECK_MSG(
      connection.closed || cqe.res < 0 || static_cast<size_t>(cqe.res) == connection.sending_bytes,
      "a short send, in spite of MSG_WAITALL");
  connection.sending_bytes = 0;
  if (connection.large_replies > 0 || !connection.output[connection.writing].empty()) {
    Queue(connection);
  }
}

void Floor::Close(Connection& connection) {
  connection.closed = true;
  std::erase(subscribers_, &connection);
  io_uring_sqe* const sqe = ring_.NextSqe();
  io_uring_prep_close(sqe, connection.descriptor);
  sqe->user_data = Tag(Operation::kClose, connection.descriptor);
}

void Floor::Wait() {
  if (options_.spin_us > 0) {
    io_uring_submit(ring_.get());
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t end_ns = now.tv_sec * 1'000'000'000 + now.tv_nsec + options_.spin_us * 1000;
    while (io_uring_cq_ready(ring_.get()) == 0) {
      if ((__atomic_load_n(ring_.get()->sq.kflags, __ATOMIC_ACQUIRE) &
           (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
        io_uring_get_events(ring_.get());
        continue;
      }
      __builtin_ia32_pause();
      clock_gettime(CLOCK_MONOTONIC, &now);
      if (now.tv_sec * 1'000'000'000 + now.tv_nsec > end_ns) break;
    }
    if (io_uring_cq_ready(ring_.get()) > 0) return;
  }
  io_uring_submit_and_wait(ring_.get(), 1);
}

void Floor::Run() {
  ArmAccept();
  for (;;) {
    Wait();
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring_.get(), head, cqe) {
      ++count;
      const auto operation = static_cast<Operation>(cqe->user_data >> 32);
      const auto descriptor = static_cast<uint32_t>(cqe->user_data);
      switch (operation) {
        case Operation::kAccept:
          HandleAccept(*cqe);
          break;
        case Operation::kReceive:
          HandleReceive(*connections_[descriptor], *cqe);
          break;
        case Operation::kSend:
          HandleSend(*connections_[descriptor], *cqe);
          break;
        case Operation::kClose:
          break;
      }
    }
    io_uring_cq_advance(ring_.get(), count);
    ring_.PublishRecycled();
    std::vector<Connection*> queued;
    queued.swap(queued_);
    for (Connection* connection : queued) {
      connection->queued = false;
      if (!connection->closed && connection->sending_bytes == 0) Send(*connection);
    }
    queued.clear();
    if (queued_.empty()) queued_.swap(queued);  // Its memory.
  }
}

int Main(int argc, char** argv) {
  CLI::App app("The least that a RESP server on io_uring can do, to compare servers with.",
               "floor");
  Options options;
  app.option_defaults()->always_capture_default();
  app.add_option("--port", options.port, "TCP port on 127.0.0.1");
  app.add_option("--value-bytes", options.value_bytes, "Size of the value that every GET returns");
  app.add_flag("--table", options.table, "Have a table of small keys and values");
  app.add_option("--table-bits", options.table_bits, "Its size, as a power of two");
  app.add_option("--buffers", options.buffers, "Receive buffers, a power of two");
  app.add_option("--buffer-bytes", options.buffer_bytes, "Size of a receive buffer");
  app.add_option("--spin-us", options.spin_us, "Look for completions this long before sleeping");
  CLI11_PARSE(app, argc, argv);
  rlimit limit{kDescriptorsMax, kDescriptorsMax};
  setrlimit(RLIMIT_NOFILE, &limit);
  Floor(options).Run();
}

}  // namespace
}  // namespace orrery::bench

int main(int argc, char** argv) { return orrery::bench::Main(argc, argv); }
