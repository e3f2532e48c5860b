// What it costs to take one message to fifty receivers: copied into the output of each, or borrowed
// by all, and sent to each over a socket. PushMessage::kBorrowBytesMin is where the second gets
// cheaper.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/shared_bytes.h"
#include "runtime/pending_output.h"

namespace orrery {
namespace {

constexpr size_t kReceivers = 50;

// A connection, and its other end.
struct Receiver {
  explicit Receiver(OutputBlockPool& pool) : output(pool) {
    ORRERY_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
  }
  ~Receiver() {
    close(ends[0]);
    close(ends[1]);
  }

  void Send(std::vector<char>& buffer) {
    while (!output.empty()) {
      std::array<iovec, 16> iovecs;
      const Chunk chunk = output.Gather(iovecs);
      msghdr message{};
      message.msg_iov = iovecs.data();
      message.msg_iovlen = chunk.iovecs;
      const ssize_t sent = sendmsg(ends[0], &message, MSG_NOSIGNAL);
      ORRERY_CHECK(sent > 0);
      output.Advance(static_cast<size_t>(sent));
      while (read(ends[1], buffer.data(), buffer.size()) > 0) {
      }
    }
  }

  int ends[2];
  PendingOutput output;
};

template <bool kBorrows>
void BM_Push(benchmark::State& state) {
  const auto payload_bytes = static_cast<size_t>(state.range(0));
  const std::string payload(payload_bytes, 'x');
  std::string header = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$";
  header += std::to_string(payload_bytes) + "\r\n";
  OutputBlockPool pool;
  std::vector<std::unique_ptr<Receiver>> receivers;
  for (size_t i = 0; i < kReceivers; ++i) receivers.push_back(std::make_unique<Receiver>(pool));
  std::vector<char> buffer(64 * 1024);
  std::string text;
  for (auto _ : state) {
    text.assign(header);
    SharedBytes body;
    if constexpr (kBorrows) {
      body = SharedBytes::Copy(payload);
    } else {
      text.append(payload).append("\r\n");
    }
    for (const auto& receiver : receivers) {
      receiver->output.Append(text);
      if constexpr (kBorrows) {
        receiver->output.AppendBody(body);
        receiver->output.Append("\r\n");
      }
    }
    for (const auto& receiver : receivers) receiver->Send(buffer);
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kReceivers);
}

BENCHMARK(BM_Push<false>)->Name("copied")->RangeMultiplier(2)->Range(256, 16384);
BENCHMARK(BM_Push<true>)->Name("borrowed")->RangeMultiplier(2)->Range(256, 16384);

}  // namespace
}  // namespace orrery
