// What a short send costs as IORING_OP_SEND and as IORING_OP_SENDMSG: processor time of the thread
// a send, the loopback's receiving side included. Rounds of both take turns; printed are medians of
// what they cost and of the differences of each round.
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/units.h"
#include "runtime/ring/linux_kernel.h"
#include "runtime/ring/submission_queue.h"

namespace orrery {
namespace {

constexpr size_t kSockets = 50;
constexpr int kRounds = 61;
constexpr int kTurnsARound = 40;
constexpr std::string_view kReply = "$3\r\nxxx\r\n";
constexpr UserData kTag{.operation = Operation::kTest, .slot = {}};

enum class Form : uint8_t { kSend, kMessage };

Nanoseconds ThreadTime() {
  timespec time;
  ORRERY_CHECK(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
  return time.tv_sec * kSecond + time.tv_nsec;
}

struct Connected {
  int server = -1;
  int client = -1;
};

Connected Connect(LinuxKernel& kernel, int listener) {
  Connected both;
  both.client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kernel.LocalPort(listener).value());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The sockets' functions take any address by a pointer to its front.
  ORRERY_CHECK(::connect(both.client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  both.server = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ORRERY_CHECK(both.server >= 0);
  ORRERY_CHECK(kernel.SetSocketOption(both.server, IPPROTO_TCP, TCP_NODELAY, 1).has_value());
  return both;
}

// All sockets send once, by one Enter.
Nanoseconds SendTurn(Ring& ring, SubmissionQueue& submission, std::span<const Connected> sockets,
                     Form form) {
  const std::span<const std::byte> reply = std::as_bytes(std::span(kReply));
  std::array<iovec, kSockets> iovecs;
  std::array<msghdr, kSockets> messages;
  const Nanoseconds start = ThreadTime();
  for (size_t i = 0; i < sockets.size(); ++i) {
    const File socket = File::Descriptor(sockets[i].server);
    if (form == Form::kSend) {
      ORRERY_CHECK(submission.Send(socket, reply, 0, kTag));
      continue;
    }
    // An iovec is of reads as well, so its base is not const.
    iovecs[i] = {.iov_base = const_cast<char*>(kReply.data()), .iov_len = kReply.size()};
    messages[i] = {};
    messages[i].msg_iov = &iovecs[i];
    messages[i].msg_iovlen = 1;
    ORRERY_CHECK(submission.SendMessage(socket, messages[i], 0, kTag));
  }
  ORRERY_CHECK(ring.Enter({.to_submit = submission.Publish(),
                           .min_complete = static_cast<unsigned>(sockets.size())})
                   .has_value());
  ORRERY_CHECK(io_uring_cq_ready(&ring.memory()) == sockets.size());
  io_uring_cq_advance(&ring.memory(), static_cast<unsigned>(sockets.size()));
  const Nanoseconds took = ThreadTime() - start;
  std::array<char, kReply.size()> received;
  for (const Connected& both : sockets) {
    ORRERY_CHECK(::read(both.client, received.data(), received.size()) == ssize_t{kReply.size()});
  }
  return took;
}

double Median(std::vector<double> figures) {
  std::ranges::nth_element(figures, figures.begin() + kRounds / 2);
  return figures[kRounds / 2];
}

void Main() {
  LinuxKernel kernel;
  const std::unique_ptr<Ring> ring = kernel.MakeRing({}).value();
  SubmissionQueue submission(*ring);
  const int listener = kernel.Listen({.address = "127.0.0.1", .port = 0}).value();
  std::vector<Connected> sockets;
  for (size_t i = 0; i < kSockets; ++i) sockets.push_back(Connect(kernel, listener));
  std::vector<double> send;
  std::vector<double> message;
  std::vector<double> difference;
  for (int round = 0; round < kRounds; ++round) {
    const auto measure = [&](Form form) {
      Nanoseconds took = 0;
      for (int turn = 0; turn < kTurnsARound; ++turn) {
        took += SendTurn(*ring, submission, sockets, form);
      }
      return static_cast<double>(took) / (kTurnsARound * kSockets);
    };
    send.push_back(measure(Form::kSend));
    message.push_back(measure(Form::kMessage));
    difference.push_back(message.back() - send.back());
  }
  fmt::print("{} sockets, {} bytes; medians of {} rounds, CPU time a send\n", kSockets,
             kReply.size(), kRounds);
  fmt::print("send {:.0f} ns, sendmsg {:.0f} ns, difference {:.0f} ns\n", Median(send),
             Median(message), Median(difference));
}

}  // namespace
}  // namespace orrery

int main() {
  orrery::Main();
  return 0;
}
