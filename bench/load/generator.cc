// A closed-loop load generator for RESP servers on loopback, on io_uring, in one thread.
//
// Each connection sends a pipeline of requests, waits for all replies, and sends the next. Requests
// are written once; only the digits of their keys change. Replies are checked by their first byte
// and their exact length, which the workload knows. What the server's process uses is read right at
// the edges of the measured window. Prints one line of JSON.
//
// It costs less a request than any server can, so that one core of it saturates one core of server.
#include <dirent.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/loopback.h"
#include "base/prng.h"
#include "base/units.h"
#include "bench/load/receive_ring.h"

namespace orrery::bench {
namespace {

enum class Workload : uint8_t { kGet, kSet, kMGet, kMSet, kPublish, kPing };

struct Options {
  uint16_t port = 6379;
  Workload workload = Workload::kGet;
  unsigned connections = 50;
  unsigned pipeline = 1;
  size_t value_bytes = 3;
  uint64_t keys = 100'000;
  unsigned keys_a_command = 10;  // MGET and MSET.
  unsigned subscribers = 50;
  unsigned idle = 0;
  double seconds = 1.0;
  double warm_up_seconds = 0.3;
  bool fill = false;
  int server = 0;  // Process id; 0: its use is not read.
};

constexpr size_t kKeyDigits = 12;
constexpr rlim_t kDescriptorsMax = 65'536;
constexpr std::string_view kSubscribe = "*2\r\n$9\r\nSUBSCRIBE\r\n$2\r\nch\r\n";
constexpr size_t kSubscribedBytes = sizeof("*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n") - 1;

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "generator: %s\n", message.c_str());
  std::exit(1);
}

Nanoseconds Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

std::string Bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

// Latencies, each to a part in 64.
class Latencies {
 public:
  void Add(Nanoseconds time) {
    ++bins_[Bin(static_cast<uint64_t>(time))];
    ++count_;
  }
  double Microseconds(double part) const {
    uint64_t left = static_cast<uint64_t>(part * static_cast<double>(count_)) + 1;
    for (size_t bin = 0; bin < bins_.size(); ++bin) {
      if (bins_[bin] >= left) return static_cast<double>(Lowest(bin)) / kMicrosecond;
      left -= bins_[bin];
    }
    return 0;
  }

 private:
  static constexpr unsigned kStepBits = 6;
  static constexpr uint64_t kSteps = 1 << kStepBits;
  static size_t Bin(uint64_t time) {
    if (time < kSteps) return time;
    const unsigned shift = static_cast<unsigned>(std::bit_width(time)) - 1 - kStepBits;
    return (shift + 1) * kSteps + ((time >> shift) & (kSteps - 1));
  }
  static uint64_t Lowest(size_t bin) {
    if (bin < kSteps) return bin;
    return (kSteps + bin % kSteps) << (bin / kSteps - 1);
  }
  std::array<uint64_t, 64 * kSteps> bins_{};
  uint64_t count_ = 0;
};

// What processes have used.
struct Usage {
  double server_cpu_s = 0;  // All threads.
  double server_user_s = 0;
  double server_system_s = 0;
  double server_resident_bytes = 0;
  double own_cpu_s = 0;
  double machine_busy_s = 0;
  Nanoseconds at = 0;
};

double ServerCpuSeconds(int server) {
  const std::string tasks = "/proc/" + std::to_string(server) + "/task";
  DIR* const folder = opendir(tasks.c_str());
  if (folder == nullptr) return 0;
  double nanoseconds = 0;
  while (const dirent* entry = readdir(folder)) {
    if (entry->d_name[0] == '.') continue;
    double on_cpu = 0;
    std::ifstream(tasks + "/" + entry->d_name + "/schedstat") >> on_cpu;
    nanoseconds += on_cpu;
  }
  closedir(folder);
  return nanoseconds * 1e-9;
}

Usage ReadUsage(int server) {
  const auto tick = static_cast<double>(sysconf(_SC_CLK_TCK));
  Usage usage;
  if (server != 0) {
    usage.server_cpu_s = ServerCpuSeconds(server);
    std::ifstream stat("/proc/" + std::to_string(server) + "/stat");
    std::string line;
    std::getline(stat, line);
    // Fields 14, 15 and 24 of proc(5); counted from behind the command's name, which ends field 2.
    std::vector<std::string> fields;
    for (size_t at = std::min(line.rfind(')') + 2, line.size()); at < line.size();) {
      const size_t end = std::min(line.find(' ', at), line.size());
      fields.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    if (fields.size() > 21) {
      usage.server_user_s = std::stod(fields[11]) / tick;
      usage.server_system_s = std::stod(fields[12]) / tick;
      usage.server_resident_bytes = std::stod(fields[21]) * static_cast<double>(getpagesize());
    }
  }
  // "cpu user nice system idle iowait irq softirq ...", of all cores.
  std::ifstream machine("/proc/stat");
  std::string name;
  std::array<double, 7> ticks{};
  machine >> name;
  for (double& value : ticks) machine >> value;
  usage.machine_busy_s = (ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) / tick;
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  usage.own_cpu_s = static_cast<double>(own.ru_utime.tv_sec + own.ru_stime.tv_sec) +
                    static_cast<double>(own.ru_utime.tv_usec + own.ru_stime.tv_usec) * 1e-6;
  usage.at = Now();
  return usage;
}

int Connect(uint16_t port) {
  constexpr int kTries = 50;
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address = Loopback(port);
  for (int i = 0; i < kTries; ++i) {
    if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
      return descriptor;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  Fail("no server on port " + std::to_string(port));
}

struct Connection {
  int descriptor = -1;
  std::string requests;
  std::vector<size_t> keys;  // Where in `requests` the digits of keys are.
  uint64_t reply_bytes = 0;  // Of the replies to `requests`,
  uint64_t received_bytes = 0;
  Nanoseconds sent_at = 0;
};

class Generator {
 public:
  explicit Generator(const Options& options);
  void Run();

 private:
  static constexpr uint64_t kSend = uint64_t{1} << 32;

  std::string Key() const { return "key:" + std::string(kKeyDigits, '0'); }
  void Write(Connection& connection) const;
  uint64_t ReplyBytes() const;
  char FirstByte() const;
  void ArmReceive(size_t index);
  void Send(size_t index);
  void Handle(const io_uring_cqe& cqe);
  void HandleReply(size_t index, std::string_view bytes);
  void Finished(size_t index);
  void Report(const Usage& begin, const Usage& end) const;

  const Options options_;
  const size_t senders_;
  ReceiveRing ring_{{.cq_entries = 32'768, .buffers = 2048, .buffer_bytes = 16 * kKiB}};
  std::vector<Connection> connections_;  // The senders, then the subscribers.
  std::vector<int> idle_;
  double idle_bytes_ = 0;
  Prng prng_{1};
  uint64_t next_key_ = 0;
  uint64_t message_bytes_ = 0;  // What one PUBLISH sends to all subscribers.
  uint64_t messages_received_ = 0;
  uint64_t requests_done_ = 0;
  uint64_t requests_before_ = 0;
  bool measuring_ = false;
  Latencies latencies_;
  Nanoseconds now_ = 0;
};

Generator::Generator(const Options& options)
    : options_(options),
      // One at a time publishes, so that it is known what everybody gets.
      senders_(options.workload == Workload::kPublish ? 1 : options.connections) {
  const Usage before = ReadUsage(options.server);
  for (unsigned i = 0; i < options.idle; ++i) {
    idle_.push_back(Connect(options.port));
    // One SET each: what it costs after use.
    const std::string set = "*3\r\n$3\r\nSET\r\n" + Bulk(Key()) + Bulk("xxx");
    std::array<char, 16> reply;
    if (write(idle_.back(), set.data(), set.size()) < 0 ||
        read(idle_.back(), reply.data(), reply.size()) <= 0) {
      Fail("an idle connection was closed");
    }
  }
  if (options.idle > 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    idle_bytes_ = (ReadUsage(options.server).server_resident_bytes - before.server_resident_bytes) /
                  options.idle;
  }
  const size_t subscribers = options.workload == Workload::kPublish ? options.subscribers : 0;
  connections_.resize(senders_ + subscribers);
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& connection = connections_[i];
    connection.descriptor = Connect(options.port);
    if (i < senders_) {
      Write(connection);
      connection.reply_bytes = ReplyBytes() * options.pipeline;
      continue;
    }
    if (write(connection.descriptor, kSubscribe.data(), kSubscribe.size()) < 0) Fail("cannot send");
    std::array<char, kSubscribedBytes> reply;
    for (size_t got = 0; got < reply.size();) {
      const ssize_t part = read(connection.descriptor, reply.data(), reply.size() - got);
      if (part <= 0) Fail("SUBSCRIBE was not answered");
      got += static_cast<size_t>(part);
    }
  }
  const std::string message =
      "*3\r\n" + Bulk("message") + Bulk("ch") + Bulk(std::string(options.value_bytes, 'x'));
  message_bytes_ = message.size() * subscribers;
}

void Generator::Write(Connection& connection) const {
  std::string& text = connection.requests;
  const std::string value = Bulk(std::string(options_.value_bytes, 'x'));
  const auto add_key = [&] {
    text += Bulk(Key());
    connection.keys.push_back(text.size() - 2 - kKeyDigits);
  };
  const auto add = [&](std::string_view name, unsigned keys, bool with_values) {
    text += "*" + std::to_string(1 + keys * (with_values ? 2 : 1)) + "\r\n" + Bulk(name);
    for (unsigned i = 0; i < keys; ++i) {
      add_key();
      if (with_values) text += value;
    }
  };
  for (unsigned i = 0; i < options_.pipeline; ++i) {
    switch (options_.workload) {
      case Workload::kGet:
        add("GET", 1, false);
        break;
      case Workload::kSet:
        add("SET", 1, true);
        break;
      case Workload::kMGet:
        add("MGET", options_.keys_a_command, false);
        break;
      case Workload::kMSet:
        add("MSET", options_.keys_a_command, true);
        break;
      case Workload::kPublish:
        text += "*3\r\n" + Bulk("PUBLISH") + Bulk("ch") + value;
        break;
      case Workload::kPing:
        text += "*1\r\n" + Bulk("PING");
        break;
    }
  }
}

uint64_t Generator::ReplyBytes() const {
  const uint64_t value = Bulk(std::string(options_.value_bytes, 'x')).size();
  switch (options_.workload) {
    case Workload::kGet:
      return value;
    case Workload::kSet:
    case Workload::kMSet:
      return std::string_view("+OK\r\n").size();
    case Workload::kMGet:
      return ("*" + std::to_string(options_.keys_a_command) + "\r\n").size() +
             options_.keys_a_command * value;
    case Workload::kPublish:
      return (":" + std::to_string(options_.subscribers) + "\r\n").size();
    case Workload::kPing:
      break;
  }
  return std::string_view("+PONG\r\n").size();
}

char Generator::FirstByte() const {
  switch (options_.workload) {
    case Workload::kGet:
      return '$';
    case Workload::kMGet:
      return '*';
    case Workload::kPublish:
      return ':';
    default:
      return '+';
  }
}

void Generator::ArmReceive(size_t index) {
  ring_.ArmReceive(connections_[index].descriptor, index);
}

void Generator::Send(size_t index) {
  Connection& connection = connections_[index];
  for (const size_t at : connection.keys) {
    uint64_t key = options_.fill ? next_key_++ % options_.keys : prng_.Below(options_.keys);
    for (size_t digit = kKeyDigits; digit > 0; --digit, key /= 10) {
      connection.requests[at + digit - 1] = static_cast<char>('0' + key % 10);
    }
  }
  connection.received_bytes = 0;
  connection.sent_at = now_;
  io_uring_sqe* const sqe = ring_.NextSqe();
  io_uring_prep_send(sqe, connection.descriptor, connection.requests.data(),
                     connection.requests.size(), MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = kSend | index;
}

void Generator::Finished(size_t index) {
  requests_done_ += options_.pipeline;
  if (measuring_) latencies_.Add(now_ - connections_[index].sent_at);
  Send(index);
}

void Generator::HandleReply(size_t index, std::string_view bytes) {
  if (index < senders_) {
    Connection& connection = connections_[index];
    if (connection.received_bytes == 0 && bytes[0] != FirstByte()) {
      Fail("a wrong reply: " + std::string(bytes.substr(0, bytes.find('\r'))));
    }
    connection.received_bytes += bytes.size();
    if (connection.received_bytes > connection.reply_bytes) Fail("a reply is too long");
    if (options_.workload != Workload::kPublish) {
      if (connection.received_bytes == connection.reply_bytes) Finished(index);
      return;
    }
  } else {
    messages_received_ += bytes.size();
  }
  // A publication is over when everybody has got it.
  const uint64_t expected = message_bytes_ * options_.pipeline;
  if (messages_received_ > expected) Fail("a message too many");
  if (connections_[0].received_bytes == connections_[0].reply_bytes &&
      messages_received_ == expected) {
    messages_received_ = 0;
    Finished(0);
  }
}

void Generator::Handle(const io_uring_cqe& cqe) {
  const auto index = static_cast<uint32_t>(cqe.user_data);
  if ((cqe.user_data & kSend) != 0) Fail("a send failed, errno " + std::to_string(-cqe.res));
  if (cqe.res == 0) Fail("the server has closed a connection");
  if (cqe.res < 0 && cqe.res != -ENOBUFS) {
    Fail("a receive failed, errno " + std::to_string(-cqe.res));
  }
  if (cqe.res > 0) HandleReply(index, ring_.Received(cqe));
  ring_.Recycle(cqe);
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) ArmReceive(index);
}

void Generator::Run() {
  const auto nanoseconds = [](double seconds) {
    return static_cast<Nanoseconds>(seconds * kSecond);
  };
  now_ = Now();
  const Nanoseconds measure_at = now_ + nanoseconds(options_.warm_up_seconds);
  Nanoseconds end_at = kNever;
  for (size_t i = 0; i < connections_.size(); ++i) ArmReceive(i);
  for (size_t i = 0; i < senders_; ++i) Send(i);
  Usage begin;
  while (options_.fill ? requests_done_ < options_.keys : now_ < end_at) {
    io_uring_submit_and_wait(ring_.get(), 1);
    now_ = Now();
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* cqe = nullptr;
    io_uring_for_each_cqe(ring_.get(), head, cqe) {
      ++count;
      Handle(*cqe);
    }
    io_uring_cq_advance(ring_.get(), count);
    ring_.PublishRecycled();
    if (!measuring_ && !options_.fill && now_ >= measure_at) {
      measuring_ = true;
      begin = ReadUsage(options_.server);
      requests_before_ = requests_done_;
      now_ = begin.at;
      end_at = now_ + nanoseconds(options_.seconds);
    }
  }
  if (options_.fill) {
    std::printf("{\"keys\": %lu}\n", options_.keys);
  } else {
    Report(begin, ReadUsage(options_.server));
  }
}

void Generator::Report(const Usage& begin, const Usage& end) const {
  const double seconds = static_cast<double>(end.at - begin.at) / kSecond;
  const auto requests =
      static_cast<double>(std::max<uint64_t>(1, requests_done_ - requests_before_));
  const double server_s = end.server_cpu_s - begin.server_cpu_s;
  const double own_s = end.own_cpu_s - begin.own_cpu_s;
  const double others_s = end.machine_busy_s - begin.machine_busy_s - server_s - own_s;
  std::printf(
      "{\"requests\": %.0f, \"requests_a_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
      "\"server_us\": %.4f, \"server_share\": %.3f, \"generator_share\": %.3f, \"others_share\": "
      "%.3f, "
      "\"resident_bytes\": %.0f, \"idle_connection_bytes\": %.0f}\n",
      requests, requests / seconds, latencies_.Microseconds(0.5), latencies_.Microseconds(0.99),
      server_s * 1e6 / requests, server_s / seconds, own_s / seconds, others_s / seconds,
      end.server_resident_bytes, idle_bytes_);
}

int Main(int argc, char** argv) {
  CLI::App app("Load for a RESP server on 127.0.0.1; prints what it measured as JSON.",
               "generator");
  Options options;
  const std::map<std::string, Workload> workloads = {
      {"get", Workload::kGet},   {"set", Workload::kSet},         {"mget", Workload::kMGet},
      {"mset", Workload::kMSet}, {"publish", Workload::kPublish}, {"ping", Workload::kPing}};
  app.option_defaults()->always_capture_default();
  app.add_option("--port", options.port, "TCP port of the server");
  app.add_option("--workload", options.workload, "What is sent")
      ->transform(CLI::CheckedTransformer(workloads).description("get|set|mget|mset|publish|ping"));
  app.add_option("--connections", options.connections, "Connections that send");
  app.add_option("--pipeline", options.pipeline, "Requests that a connection sends at once");
  app.add_option("--value-bytes", options.value_bytes, "Size of values and messages");
  app.add_option("--keys", options.keys, "Different keys, drawn at random");
  app.add_option("--keys-a-command", options.keys_a_command, "Of mget and mset");
  app.add_option("--subscribers", options.subscribers, "Who get what publish sends");
  app.add_option("--idle", options.idle, "Connections beside that do nothing after one SET");
  app.add_option("--seconds", options.seconds, "Length of the measured window");
  app.add_option("--warm-up", options.warm_up_seconds, "Seconds before it");
  app.add_flag("--fill", options.fill, "SET every key once, and end");
  app.add_option("--server", options.server, "Process whose CPU time and memory are read");
  CLI11_PARSE(app, argc, argv);
  if (options.fill) options.workload = Workload::kSet;
  rlimit limit{kDescriptorsMax, kDescriptorsMax};
  setrlimit(RLIMIT_NOFILE, &limit);
  constexpr unsigned kSecondsBeyond = 120;
  alarm(static_cast<unsigned>(options.seconds + options.warm_up_seconds) + kSecondsBeyond);
  Generator(options).Run();
  return 0;
}

}  // namespace
}  // namespace orrery::bench

int main(int argc, char** argv) { return orrery::bench::Main(argc, argv); }
