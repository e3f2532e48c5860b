#include "kernel_model/model_kernel.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "kernel_model/machine.h"
#include "kernel_model/model_ring.h"
#include "kernel_model/operations.h"
#include "kernel_model/set_up.h"

namespace orrery::model {
namespace {

bool IsNumericAddress(const std::string& address) {
  in6_addr ignored;
  return inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool IsUnix(const OpenFile& file) {
  if (file.kind == FileKind::kListener) return !file.listener->path.empty();
  return file.kind == FileKind::kStream && !file.connection->path.empty();
}

// Options that change nothing that the model shows.
bool IsKnownOption(int level, int option) {
  if (level == IPPROTO_TCP) {
    return option == TCP_NODELAY || option == TCP_KEEPIDLE || option == TCP_KEEPINTVL ||
           option == TCP_KEEPCNT || option == TCP_QUICKACK || option == TCP_USER_TIMEOUT;
  }
  if (level == SOL_SOCKET) {
    return option == SO_KEEPALIVE || option == SO_REUSEADDR || option == SO_SNDBUF ||
           option == SO_RCVBUF || option == SO_REUSEPORT || option == SO_RCVLOWAT;
  }
  return false;
}

}  // namespace

ModelKernel::ModelKernel(const ModelOptions& options, Choice& choice, Observer* observer)
    : machine_(std::make_unique<Machine>(options, choice, observer)) {}

ModelKernel::~ModelKernel() = default;

std::expected<std::unique_ptr<Ring>, std::string> ModelKernel::MakeRing(
    const RingOptions& options) {
  const ModelOptions& overrides = machine_->options;
  const unsigned sq_entries = overrides.sq_entries != 0 ? overrides.sq_entries : options.sq_entries;
  const unsigned cq_entries = overrides.cq_entries != 0 ? overrides.cq_entries : options.cq_entries;
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  if (overrides.task_work == TaskWork::kDeferred) {
    parameters.flags |=
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  }
  parameters.cq_entries = cq_entries;
  auto ring = SetUpRing(sq_entries, parameters);
  if (ring) return *std::move(ring);
  return std::unexpected("cannot set up a ring of " + std::to_string(sq_entries) + " and " +
                         std::to_string(cq_entries) + " entries: " + ring.error().ToString());
}

std::expected<std::unique_ptr<ModelRing>, Errno> ModelKernel::SetUpRing(
    unsigned entries, io_uring_params& parameters) {
  const std::expected<RingSetUp, Errno> set_up = ReadSetUp(entries, parameters);
  if (!set_up) return std::unexpected(set_up.error());
  if (machine_->descriptors.full()) return std::unexpected(Errno(EMFILE));
  std::unique_ptr<ModelRing> ring(new ModelRing(*machine_, *set_up));
  ring->Describe(parameters);
  return ring;
}

EnterResult ModelKernel::Enter(int descriptor, const EnterCall& call) {
  const std::expected<ModelRing*, Errno> ring = machine_->FindRing(descriptor);
  if (!ring) return std::unexpected(ring.error());
  return (*ring)->EnterAs(call);
}

std::expected<unsigned, Errno> ModelKernel::Register(int descriptor, unsigned opcode,
                                                     const void* argument, unsigned count) {
  if (descriptor == -1) {
    constexpr unsigned kSendMessage = 31;  // IORING_REGISTER_SEND_MSG_RING
    if (opcode != kSendMessage) StopUnknown("registering without a ring, opcode", opcode);
    if (argument == nullptr || count != 1) return std::unexpected(Errno(EINVAL));
    io_uring_sqe sqe;
    std::memcpy(&sqe, argument, sizeof sqe);
    const int32_t result = SendMessageFromNowhere(*machine_, sqe);
    if (result < 0) return std::unexpected(Errno(-result));
    return static_cast<unsigned>(result);
  }
  const std::expected<ModelRing*, Errno> ring = machine_->FindRing(descriptor);
  if (!ring) return std::unexpected(ring.error());
  return (*ring)->Register(opcode, argument, count);
}

void ModelKernel::SwitchThread(unsigned thread) { machine_->thread = thread; }

std::expected<int, Errno> ModelKernel::Listen(const ListenOptions& options) {
  if (!IsNumericAddress(options.address)) return std::unexpected(Errno(EINVAL));
  if (machine_->descriptors.full()) return std::unexpected(Errno(EMFILE));
  const auto file = machine_->tcp.Listen(options.port, options.backlog);
  if (!file) return std::unexpected(file.error());
  return machine_->InsertDescriptor(**file, O_CLOEXEC);
}

std::expected<std::vector<int>, Errno> ModelKernel::ListenShared(const ListenOptions& options,
                                                                 unsigned sockets) {
  ORRERY_CHECK(sockets >= 1);
  std::vector<int> listeners;
  while (listeners.size() < sockets) {
    auto listener = listeners.empty() ? Listen(options) : ListenBeside(listeners.front());
    if (!listener) {
      for (const int each : listeners) Close(each);
      return std::unexpected(listener.error());
    }
    listeners.push_back(*listener);
  }
  return listeners;
}

std::expected<int, Errno> ModelKernel::ListenBeside(int listener) {
  if (machine_->descriptors.full()) return std::unexpected(Errno(EMFILE));
  OpenFile& file = machine_->tcp.ListenBeside(*machine_->descriptors.Find(listener));
  return machine_->InsertDescriptor(file, O_CLOEXEC);
}

std::expected<int, Errno> ModelKernel::ListenUnix(const UnixListenOptions& options) {
  if (options.path.size() >= sizeof sockaddr_un{}.sun_path) {
    return std::unexpected(Errno(ENAMETOOLONG));
  }
  if (machine_->descriptors.full()) return std::unexpected(Errno(EMFILE));
  const auto file = machine_->tcp.ListenUnix(options.path, options.backlog);
  if (!file) return std::unexpected(file.error());
  return machine_->InsertDescriptor(**file, O_CLOEXEC);
}

void ModelKernel::RemoveSocketFile(const std::string& path) {
  machine_->tcp.RemoveSocketFile(path);
}

std::expected<uint16_t, Errno> ModelKernel::LocalPort(int listener) {
  const OpenFile* const file = machine_->descriptors.Find(listener);
  if (file == nullptr) return std::unexpected(Errno(EBADF));
  if (IsUnix(*file)) return std::unexpected(Errno(EAFNOSUPPORT));
  if (file->kind == FileKind::kListener) return file->listener->port;
  if (file->kind == FileKind::kStream) return file->connection->port;
  if (file->kind == FileKind::kSocket) return file->bound_port;
  if (file->kind == FileKind::kDatagram) return file->datagrams->port;
  return std::unexpected(Errno(ENOTSOCK));
}

std::expected<SocketEnds, Errno> ModelKernel::Ends(int socket) {
  const OpenFile* const file = machine_->descriptors.Find(socket);
  if (file == nullptr) return std::unexpected(Errno(EBADF));
  if (!IsSocket(*file)) return std::unexpected(Errno(ENOTSOCK));
  if (file->kind != FileKind::kStream) return std::unexpected(Errno(ENOTCONN));
  const Connection& connection = *file->connection;
  // After a reset, the socket has no peer.
  if (connection.reset_arrived) return std::unexpected(Errno(ENOTCONN));
  if (IsUnix(*file)) return SocketEnds{connection.path + ":0", connection.path + ":0"};
  const uint64_t peer = connection.other != nullptr ? connection.other->port : connection.number;
  return SocketEnds{.local = "127.0.0.1:" + std::to_string(connection.port),
                    .peer = "127.0.0.1:" + std::to_string(peer)};
}

std::expected<void, Errno> ModelKernel::SetSocketOption(int socket, int level, int option,
                                                        int value) {
  OpenFile* const file = machine_->descriptors.Find(socket);
  if (file == nullptr) return std::unexpected(Errno(EBADF));
  if (!IsSocket(*file)) return std::unexpected(Errno(ENOTSOCK));
  if (IsUnix(*file) && level == IPPROTO_TCP) return std::unexpected(Errno(EOPNOTSUPP));
  if (!IsKnownOption(level, option)) {
    StopUnknown("socket option of level " + std::to_string(level) + ", number",
                static_cast<uint64_t>(option));
  }
  if (level == SOL_SOCKET && option == SO_REUSEPORT) file->shares_port = value != 0;
  std::erase_if(file->options, [&](const SocketOptionValue& known) {
    return known.level == level && known.option == option;
  });
  file->options.push_back({.level = level, .option = option, .value = value});
  if (file->kind == FileKind::kStream) Tcp::ApplyOptions(*file);
  return {};
}

std::expected<int, Errno> ModelKernel::SocketOption(int socket, int level, int option) const {
  const OpenFile* const file = machine_->descriptors.Find(socket);
  if (file == nullptr) return std::unexpected(Errno(EBADF));
  if (!IsSocket(*file)) return std::unexpected(Errno(ENOTSOCK));
  for (const SocketOptionValue& known : file->options) {
    if (known.level == level && known.option == option) return known.value;
  }
  return 0;
}

bool ModelKernel::IsCloseOnExec(int fd) const {
  ORRERY_CHECK(machine_->descriptors.Find(fd) != nullptr);
  return machine_->descriptors.close_on_exec(fd);
}

bool ModelKernel::IsNonBlocking(int fd) const {
  const OpenFile* const file = machine_->descriptors.Find(fd);
  ORRERY_CHECK(file != nullptr);
  return (file->open_flags & O_NONBLOCK) != 0;
}

void ModelKernel::LimitFileSize(uint64_t bytes) { machine_->file_bytes_limit = bytes; }

std::expected<int, Errno> ModelKernel::MakeEventFd() {
  if (machine_->descriptors.full()) return std::unexpected(Errno(EMFILE));
  OpenFile& file = machine_->NewFile(FileKind::kEventFd);
  file.open_flags |= O_NONBLOCK;
  return machine_->InsertDescriptor(file, O_CLOEXEC);
}

void ModelKernel::Close(int fd) { machine_->CloseDescriptor(fd); }

std::expected<uint64_t, Errno> ModelKernel::RaiseDescriptorLimit() {
  return machine_->options.descriptors_max;
}

Nanoseconds ModelKernel::MonotonicNow() { return machine_->now; }

Nanoseconds ModelKernel::RealtimeNow() { return machine_->realtime_offset + machine_->now; }

void ModelKernel::JumpRealtime(Nanoseconds by) { machine_->JumpRealtime(by); }

ProcessUsage ModelKernel::Usage() { return {}; }

void ModelKernel::Entropy(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const uint64_t word = machine_->entropy.Next();
    const size_t count = std::min(bytes.size(), sizeof word);
    std::memcpy(bytes.data(), &word, count);
    bytes = bytes.subspan(count);
  }
}

Nanoseconds ModelKernel::NextEventAt() const { return machine_->timers.next_due(); }

void ModelKernel::AdvanceTo(Nanoseconds time) { machine_->AdvanceTo(time); }

std::vector<ModelRing*> ModelKernel::rings() const { return machine_->rings; }

std::expected<ModelKernel::PeerId, Errno> ModelKernel::PeerConnect(uint16_t port) {
  return machine_->tcp.PeerConnect(port);
}

std::expected<ModelKernel::PeerId, Errno> ModelKernel::PeerConnectUnix(const std::string& path) {
  return machine_->tcp.PeerConnectUnix(path);
}

std::expected<size_t, Errno> ModelKernel::PeerSend(PeerId peer, std::span<const std::byte> bytes) {
  return machine_->tcp.PeerSend(peer, bytes);
}

PeerRead ModelKernel::PeerReceive(PeerId peer, std::span<std::byte> bytes) {
  return machine_->tcp.PeerReceive(peer, bytes);
}

void ModelKernel::PeerShutdownWrite(PeerId peer) { machine_->tcp.PeerShutdownWrite(peer); }

void ModelKernel::PeerClose(PeerId peer) { machine_->tcp.PeerClose(peer); }

void ModelKernel::PeerReset(PeerId peer) { machine_->tcp.PeerReset(peer); }

size_t ModelKernel::PeerReadable(PeerId peer) const { return machine_->tcp.PeerReadable(peer); }

bool ModelKernel::PeerEnded(PeerId peer) const { return machine_->tcp.PeerEnded(peer); }

ModelKernel::PeerId ModelKernel::OpenDatagramPeer() { return machine_->datagrams.OpenPeer(); }

uint16_t ModelKernel::DatagramPort(PeerId peer) const {
  return machine_->datagrams.PortOfPeer(peer);
}

void ModelKernel::PeerSendDatagram(PeerId peer, uint16_t port, std::span<const std::byte> bytes) {
  machine_->datagrams.PeerSend(peer, port, bytes);
}

std::optional<PeerDatagram> ModelKernel::PeerReceiveDatagram(PeerId peer) {
  return machine_->datagrams.PeerReceive(peer);
}

void ModelKernel::CloseDatagramPeer(PeerId peer) { machine_->datagrams.ClosePeer(peer); }

size_t ModelKernel::HandleBrokenPipes() {
  machine_->handles_broken_pipes = true;
  return machine_->broken_pipes;
}

void ModelKernel::SignalEventFd(int fd) {
  OpenFile* const file = machine_->descriptors.Find(fd);
  ORRERY_CHECK_MSG(file != nullptr, "SignalEventFd() of a descriptor that is not open");
  ORRERY_CHECK_MSG(file->kind == FileKind::kEventFd, "SignalEventFd() of another kind of file");
  AddToEventFd(*machine_, *file);
}

void ModelKernel::SetBystander(Bystander* bystander) { machine_->bystander = bystander; }

bool ModelKernel::RunWorker(uint64_t ring, uint64_t user_data) {
  ORRERY_CHECK(ring < machine_->rings.size());
  ModelRing* const found = machine_->rings[ring];
  return found != nullptr && found->RunWorker(user_data);
}

size_t ModelKernel::open_descriptors() const {
  return machine_->descriptors.size() - machine_->ring_descriptors;
}

size_t ModelKernel::open_files() const {
  return machine_->files_alive - machine_->ring_descriptors;
}

size_t ModelKernel::requests_in_flight() const {
  size_t count = 0;
  for (const ModelRing* ring : machine_->rings) {
    if (ring != nullptr) count += ring->requests_in_flight();
  }
  return count;
}

}  // namespace orrery::model
