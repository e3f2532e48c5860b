#include "runtime/coro/io_context.h"

#include <cerrno>

namespace orrery::coro {

IoContext::IoContext(Ring& ring, Kernel& kernel, const IoContextOptions& options)
    : ring_(ring),
      kernel_(kernel),
      options_(options),
      operations_(ring, kernel, options.operations) {}

EnterRequest IoContext::Turn() {
  operations_.BeginTurn();
  (void)scheduler_.Run(options_.resumes_max);
  return operations_.EndTurn(/*must_not_sleep=*/!scheduler_.empty() || finished());
}

void IoContext::OnEntered(const EnterResult& result) {
  const std::expected<void, Errno> entered = operations_.OnEntered(result);
  if (!entered) {
    CheckFailed(__FILE__, __LINE__, "io_uring_enter", entered.error().ToString().c_str());
  }
}

bool IoAwaiter::BeginFor(TaskBase& task) {
  if (task.stop_requested()) {
    result_ = std::unexpected(Errno(ECANCELED));
    return false;
  }
  task_ = &task;
  Listen(task.stop());
  Start();
  return true;
}

}  // namespace orrery::coro
