// The C library's names for the system calls that a program makes beside liburing, on the fake
// kernel while a program runs, and the real ones at all other times.
//
// They are defined here so that the linker takes them before the C library's. The program's
// descriptors from 3 on are the model's; 0, 1 and 2 stay the process's. What the model cannot do
// (opening files, polling many descriptors) stops the run rather than to reach the real system.
// Thread: the program's; other threads get the real calls.
#undef _FORTIFY_SOURCE  // Its inline functions have the same names.
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/units.h"
#include "kernel_model/program/program.h"

namespace orrery::model {
namespace {

[[noreturn]] void StopUnsupported(const char* call) {
  const std::string message =
      std::string("the program called ") + call + ", which the fake kernel does not offer";
  CheckFailed(__FILE__, __LINE__, "known to the model", message.c_str());
}

// The definition that would have been called without this file.
template <typename Function>
Function* Real(const char* name) {
  // dlsym() returns functions as objects' addresses; POSIX says that this conversion works.
  auto* const real = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
  ORRERY_CHECK_MSG(real != nullptr, name);
  return real;
}

// Whether the call is the model's.
Program* Caller() { return Program::Current(); }
Program* CallerFor(int fd) { return fd > STDERR_FILENO ? Program::Current() : nullptr; }

// From the kernel's convention to the C library's.
template <typename Result>
Result Return(Result result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

// A call that may have to wait for `events` of its descriptor.
template <typename Call>
ssize_t Block(Program& program, int fd, bool may_wait, uint32_t events, Call call) {
  for (;;) {
    const ssize_t result = call();
    if (result != -EAGAIN || !may_wait) return result;
    if (!program.Await(fd, events)) return -EINTR;
  }
}

bool MayWait(Program& program, int fd, int flags) {
  const bool open = program.system().open(fd);
  return open && (flags & MSG_DONTWAIT) == 0 && !program.system().non_blocking(fd);
}

ssize_t Receive(Program& program, int fd, void* bytes, size_t count, int flags, bool plain) {
  program.BeginCall();
  auto* const memory = static_cast<std::byte*>(bytes);
  const bool may_wait = MayWait(program, fd, flags);
  const bool all = (flags & MSG_WAITALL) != 0 && may_wait;
  size_t done = 0;
  ssize_t result = 0;
  do {
    result = Block(program, fd, may_wait, POLLIN | POLLHUP, [&] {
      return program.system().Receive(fd, memory + done, count - done, flags & ~MSG_WAITALL, plain);
    });
    if (result > 0) done += static_cast<size_t>(result);
  } while (all && result > 0 && done < count);
  program.EndCall();
  return Return(done > 0 ? static_cast<ssize_t>(done) : result);
}

ssize_t Send(Program& program, int fd, const void* bytes, size_t count, int flags, bool plain) {
  program.BeginCall();
  const auto* const memory = static_cast<const std::byte*>(bytes);
  const bool may_wait = MayWait(program, fd, flags);
  size_t done = 0;
  ssize_t result = 0;
  do {  // A socket that blocks takes everything.
    result = Block(program, fd, may_wait, POLLOUT | POLLHUP | POLLERR, [&] {
      return program.system().Send(fd, memory + done, count - done, flags, plain);
    });
    if (result > 0) done += static_cast<size_t>(result);
  } while (may_wait && result > 0 && done < count);
  program.EndCall();
  return Return(done > 0 ? static_cast<ssize_t>(done) : result);
}

int Accept(Program& program, int fd, sockaddr* address, socklen_t* bytes, int flags) {
  program.BeginCall();
  const ssize_t result = Block(program, fd, MayWait(program, fd, 0), POLLIN | POLLHUP, [&] {
    return ssize_t{program.system().Accept(fd, address, bytes, flags)};
  });
  program.EndCall();
  return static_cast<int>(Return(result));
}

int Connect(Program& program, int fd, const sockaddr* address, socklen_t bytes) {
  program.BeginCall();
  SystemCalls& system = program.system();
  int result = system.Connect(fd, address, bytes);
  if (result == -EINPROGRESS && MayWait(program, fd, 0)) {
    const bool came = program.Await(fd, POLLOUT | POLLERR | POLLHUP);
    result = came ? system.Connect(fd, address, bytes) : -EINTR;
    if (result == -EISCONN) result = 0;
  }
  program.EndCall();
  return Return(result);
}

// A call that never waits.
template <typename Call>
int Simple(Program& program, Call call) {
  program.BeginCall();
  const int result = call(program.system());
  program.EndCall();
  return Return(result);
}

int SetOption(Program& program, int fd, int level, int option, const void* value, socklen_t bytes) {
  return Simple(program, [&](SystemCalls&) {
    int number = 0;
    if (value == nullptr) return -EFAULT;
    if (bytes < sizeof number) return -EINVAL;
    std::memcpy(&number, value, sizeof number);
    const auto set = program.kernel().SetSocketOption(fd, level, option, number);
    return set ? 0 : -set.error().value();
  });
}

timespec ToTime(Nanoseconds time) { return {.tv_sec = time / kSecond, .tv_nsec = time % kSecond}; }

Nanoseconds ClockOf(Program& program, clockid_t clock) {
  ModelKernel& kernel = program.kernel();
  const bool real = clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE;
  return real ? kernel.RealtimeNow() : kernel.MonotonicNow();
}

int SleepUntil(Program& program, Nanoseconds end, timespec* left) {
  program.BeginCall();
  const bool whole = program.SleepUntil(end);
  const Nanoseconds rest = end - program.kernel().MonotonicNow();
  if (!whole && left != nullptr) *left = ToTime(rest > 0 ? rest : 0);
  program.EndCall();
  return whole ? 0 : EINTR;
}

}  // namespace
}  // namespace orrery::model

namespace model = orrery::model;
using model::Caller;
using model::CallerFor;
using model::Program;
using model::Real;
using model::Return;
using model::Simple;
using model::StopUnsupported;
using model::SystemCalls;

// The call itself when no program runs.
#define ORRERY_REAL(name, ...)                             \
  do {                                                     \
    static auto* const real = Real<decltype(name)>(#name); \
    return real(__VA_ARGS__);                              \
  } while (false)

extern "C" {

// --- Sockets.

int socket(int domain, int type, int protocol) noexcept {
  if (Program* const program = Caller()) {
    return Simple(*program,
                  [&](SystemCalls& system) { return system.Socket(domain, type, protocol); });
  }
  ORRERY_REAL(socket, domain, type, protocol);
}

int bind(int fd, const struct sockaddr* address, socklen_t bytes) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) { return system.Bind(fd, address, bytes); });
  }
  ORRERY_REAL(bind, fd, address, bytes);
}

int listen(int fd, int backlog) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) { return system.Listen(fd, backlog); });
  }
  ORRERY_REAL(listen, fd, backlog);
}

int accept4(int fd, struct sockaddr* address, socklen_t* bytes, int flags) {
  if (Program* const program = CallerFor(fd)) {
    return model::Accept(*program, fd, address, bytes, flags);
  }
  ORRERY_REAL(accept4, fd, address, bytes, flags);
}

int accept(int fd, struct sockaddr* address, socklen_t* bytes) {
  if (Program* const program = CallerFor(fd)) {
    return model::Accept(*program, fd, address, bytes, 0);
  }
  ORRERY_REAL(accept, fd, address, bytes);
}

int connect(int fd, const struct sockaddr* address, socklen_t bytes) {
  if (Program* const program = CallerFor(fd)) {
    return model::Connect(*program, fd, address, bytes);
  }
  ORRERY_REAL(connect, fd, address, bytes);
}

int shutdown(int fd, int how) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) { return system.Shutdown(fd, how); });
  }
  ORRERY_REAL(shutdown, fd, how);
}

int setsockopt(int fd, int level, int option, const void* value, socklen_t bytes) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return model::SetOption(*program, fd, level, option, value, bytes);
  }
  ORRERY_REAL(setsockopt, fd, level, option, value, bytes);
}

int getsockopt(int fd, int level, int option, void* value, socklen_t* bytes) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) {
      return system.GetOption(fd, level, option, value, bytes);
    });
  }
  ORRERY_REAL(getsockopt, fd, level, option, value, bytes);
}

int getsockname(int fd, struct sockaddr* address, socklen_t* bytes) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) {
      return system.GetName(fd, /*of_peer=*/false, address, bytes);
    });
  }
  ORRERY_REAL(getsockname, fd, address, bytes);
}

int getpeername(int fd, struct sockaddr* address, socklen_t* bytes) noexcept {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) {
      return system.GetName(fd, /*of_peer=*/true, address, bytes);
    });
  }
  ORRERY_REAL(getpeername, fd, address, bytes);
}

ssize_t recv(int fd, void* bytes, size_t count, int flags) {
  if (Program* const program = CallerFor(fd)) {
    return model::Receive(*program, fd, bytes, count, flags, /*plain=*/false);
  }
  ORRERY_REAL(recv, fd, bytes, count, flags);
}

ssize_t recvfrom(int fd, void* bytes, size_t count, int flags, struct sockaddr* address,
                 socklen_t* address_bytes) {
  if (Program* const program = CallerFor(fd)) {
    if (address != nullptr) StopUnsupported("recvfrom() with an address");
    return model::Receive(*program, fd, bytes, count, flags, /*plain=*/false);
  }
  ORRERY_REAL(recvfrom, fd, bytes, count, flags, address, address_bytes);
}

ssize_t send(int fd, const void* bytes, size_t count, int flags) {
  if (Program* const program = CallerFor(fd)) {
    return model::Send(*program, fd, bytes, count, flags, /*plain=*/false);
  }
  ORRERY_REAL(send, fd, bytes, count, flags);
}

ssize_t sendto(int fd, const void* bytes, size_t count, int flags, const struct sockaddr* address,
               socklen_t address_bytes) {
  if (Program* const program = CallerFor(fd)) {
    if (address != nullptr) StopUnsupported("sendto() with an address");
    return model::Send(*program, fd, bytes, count, flags, /*plain=*/false);
  }
  ORRERY_REAL(sendto, fd, bytes, count, flags, address, address_bytes);
}

ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  if (CallerFor(fd) != nullptr) StopUnsupported("recvmsg()");
  ORRERY_REAL(recvmsg, fd, message, flags);
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  if (CallerFor(fd) != nullptr) StopUnsupported("sendmsg()");
  ORRERY_REAL(sendmsg, fd, message, flags);
}

// --- Descriptors.

int close(int fd) {
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) { return system.Close(fd); });
  }
  ORRERY_REAL(close, fd);
}

ssize_t read(int fd, void* bytes, size_t count) {
  if (Program* const program = CallerFor(fd)) {
    return model::Receive(*program, fd, bytes, count, 0, /*plain=*/true);
  }
  ORRERY_REAL(read, fd, bytes, count);
}

ssize_t write(int fd, const void* bytes, size_t count) {
  if (Program* const program = CallerFor(fd)) {
    return model::Send(*program, fd, bytes, count, 0, /*plain=*/true);
  }
  ORRERY_REAL(write, fd, bytes, count);
}

// What read() and recv() are called where the size of the memory is known.
// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming): the C library's names.
ssize_t __read_chk(int fd, void* bytes, size_t count, size_t room);
ssize_t __recv_chk(int fd, void* bytes, size_t count, size_t room, int flags);
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)
ssize_t __read_chk(int fd, void* bytes, size_t count, size_t room) {
  ORRERY_CHECK(count <= room);
  return read(fd, bytes, count);
}

ssize_t __recv_chk(int fd, void* bytes, size_t count, size_t room, int flags) {
  ORRERY_CHECK(count <= room);
  return recv(fd, bytes, count, flags);
}

ssize_t readv(int fd, const struct iovec* parts, int count) {
  if (CallerFor(fd) != nullptr) StopUnsupported("readv()");
  ORRERY_REAL(readv, fd, parts, count);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  if (CallerFor(fd) != nullptr) StopUnsupported("writev()");
  ORRERY_REAL(writev, fd, parts, count);
}

int eventfd(unsigned int count, int flags) noexcept {
  if (Program* const program = Caller()) {
    return Simple(*program, [&](SystemCalls& system) { return system.EventFd(count, flags); });
  }
  ORRERY_REAL(eventfd, count, flags);
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);  // As the C library passes it on.
  va_end(arguments);
  if (Program* const program = CallerFor(fd)) {
    return Simple(*program, [&](SystemCalls& system) {
      return system.Control(fd, command, reinterpret_cast<uint64_t>(argument));
    });
  }
  ORRERY_REAL(fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return fcntl(fd, command, argument);
}

// --- Time.

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  if (Program* const program = Caller()) {
    *time = model::ToTime(model::ClockOf(*program, clock));
    return 0;
  }
  ORRERY_REAL(clock_gettime, clock, time);
}

int gettimeofday(struct timeval* time, void* zone) noexcept {
  if (Program* const program = Caller()) {
    const timespec now = model::ToTime(model::ClockOf(*program, CLOCK_REALTIME));
    *time = {.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / orrery::kMicrosecond};
    return 0;
  }
  ORRERY_REAL(gettimeofday, time, zone);
}

time_t time(time_t* result) noexcept {
  if (Program* const program = Caller()) {
    const time_t now = model::ToTime(model::ClockOf(*program, CLOCK_REALTIME)).tv_sec;
    if (result != nullptr) *result = now;
    return now;
  }
  ORRERY_REAL(time, result);
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec* wanted,
                    struct timespec* left) {
  if (Program* const program = Caller()) {
    orrery::Nanoseconds time = 0;
    if (const int error = SystemCalls::ReadTime(*wanted, &time); error != 0) return -error;
    const bool absolute = (flags & TIMER_ABSTIME) != 0;
    const orrery::Nanoseconds delay = absolute ? time - model::ClockOf(*program, clock) : time;
    const orrery::Nanoseconds now = program->kernel().MonotonicNow();
    return model::SleepUntil(*program, now + std::min(delay, orrery::kNever - now),
                             absolute ? nullptr : left);
  }
  ORRERY_REAL(clock_nanosleep, clock, flags, wanted, left);
}

int nanosleep(const struct timespec* wanted, struct timespec* left) {
  if (Caller() != nullptr) {
    const int error = clock_nanosleep(CLOCK_MONOTONIC, 0, wanted, left);
    return Return(-error);
  }
  ORRERY_REAL(nanosleep, wanted, left);
}

int usleep(useconds_t microseconds) {
  const timespec wanted = model::ToTime(orrery::Nanoseconds{microseconds} * orrery::kMicrosecond);
  return nanosleep(&wanted, nullptr);
}

unsigned int sleep(unsigned int seconds) {
  const timespec wanted{.tv_sec = seconds, .tv_nsec = 0};
  timespec left{};
  if (nanosleep(&wanted, &left) == 0) return 0;
  return static_cast<unsigned int>(left.tv_sec + (left.tv_nsec > 0 ? 1 : 0));
}

// --- The process.

int sigaction(int number, const struct sigaction* action, struct sigaction* old) noexcept {
  if (Program* const program = Caller()) {
    if (number <= 0 || number >= NSIG) return Return(-EINVAL);
    struct sigaction& taken = program->action(number);
    const struct sigaction before = taken;
    if (action != nullptr) taken = *action;
    if (old != nullptr) *old = before;
    return 0;
  }
  ORRERY_REAL(sigaction, number, action, old);
}

sighandler_t signal(int number, sighandler_t handler) noexcept {
  if (Caller() != nullptr) {
    struct sigaction action{};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;  // As the C library's has it.
    struct sigaction old{};
    if (sigaction(number, &action, &old) != 0) return SIG_ERR;
    return old.sa_handler;
  }
  ORRERY_REAL(signal, number, handler);
}

void exit(int status) noexcept {
  if (Program* const program = Caller()) program->Exit(status);
  static auto* const kReal = Real<decltype(exit)>("exit");
  kReal(status);
  __builtin_unreachable();
}

void _exit(int status) {
  if (Program* const program = Caller()) program->Exit(status);
  static auto* const kReal = Real<decltype(_exit)>("_exit");
  kReal(status);
  __builtin_unreachable();
}

// --- What would reach the real system.

#define ORRERY_UNSUPPORTED(result, name, parameters, arguments, specifier) \
  result name parameters specifier {                                       \
    if (Caller() != nullptr) StopUnsupported(#name "()");                  \
    static auto* const real = Real<decltype(name)>(#name);                 \
    return real arguments;                                                 \
  }

ORRERY_UNSUPPORTED(int, pipe, (int fds[2]), (fds), noexcept)
ORRERY_UNSUPPORTED(int, pipe2, (int fds[2], int flags), (fds, flags), noexcept)
ORRERY_UNSUPPORTED(int, socketpair, (int domain, int type, int protocol, int fds[2]),
                   (domain, type, protocol, fds), noexcept)
ORRERY_UNSUPPORTED(int, dup, (int fd), (fd), noexcept)
ORRERY_UNSUPPORTED(int, dup2, (int fd, int to), (fd, to), noexcept)
ORRERY_UNSUPPORTED(int, dup3, (int fd, int to, int flags), (fd, to, flags), noexcept)
ORRERY_UNSUPPORTED(int, poll, (struct pollfd * fds, nfds_t count, int timeout),
                   (fds, count, timeout), )
ORRERY_UNSUPPORTED(int, select,
                   (int count, fd_set* in, fd_set* out, fd_set* bad, struct timeval* timeout),
                   (count, in, out, bad, timeout), )
ORRERY_UNSUPPORTED(int, epoll_create, (int size), (size), noexcept)
ORRERY_UNSUPPORTED(int, epoll_create1, (int flags), (flags), noexcept)
ORRERY_UNSUPPORTED(pid_t, fork, (), (), noexcept)

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  if (Caller() != nullptr) StopUnsupported("open() (files: IORING_OP_OPENAT, or stdio)");
  ORRERY_REAL(open, path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return open(path, flags, mode);
}

int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  if (Caller() != nullptr) StopUnsupported("openat() (files: IORING_OP_OPENAT, or stdio)");
  ORRERY_REAL(openat, directory, path, flags, mode);
}

}  // extern "C"
