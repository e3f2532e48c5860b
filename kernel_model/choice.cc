#include "kernel_model/choice.h"

namespace orrery::model {
namespace {

constexpr SiteInfo kSites[] = {
    {Site::kSendPartial, "send.partial", Evidence::kWitnessed, "fact T1"},
    {Site::kReceiveShort, "receive.short", Evidence::kWitnessed, "facts R1, M8"},
    {Site::kWakeDelay, "wake.delay", Evidence::kWitnessed, "fact V12"},
    {Site::kWorkerDelay, "worker.delay", Evidence::kWitnessed, "facts A14, X3"},
    {Site::kTaskWorkOrder, "task_work.order", Evidence::kWitnessed, "facts R10, V12"},
    {Site::kCancelOrder, "cancel.order", Evidence::kDocumented,
     "fact C4; io_uring_prep_cancel(3): the target's CQE is posted before submission returns"},
    {Site::kNotEmptyHint, "not_empty.hint", Evidence::kWitnessed, "facts A3, M7"},
    {Site::kTimerOrder, "timer.order", Evidence::kDocumented,
     "fact K3; timerqueue_add() does not promise an order of equal deadlines"},
    {Site::kEnterConsumesFewer, "enter.consumes_fewer", Evidence::kDocumented,
     "fact U3; io_uring_enter(2), RETURN VALUE; io_submit_sqes() when no request can be allocated"},
    {Site::kEnterInterrupted, "enter.interrupted", Evidence::kWitnessed, "facts W1, W2, W3"},
    {Site::kEnterAgain, "enter.again", Evidence::kDocumented, "io_uring_enter(2), EAGAIN"},
    {Site::kEnterBusy, "enter.busy", Evidence::kDocumented,
     "io_uring_enter(2), EBUSY: overflow entries that could not all be flushed"},
    {Site::kAcceptFails, "accept.fails", Evidence::kWitnessed, "fact A7"},
    {Site::kResetLosesData, "reset.loses_data", Evidence::kDocumented,
     "fact X4; tcp_close() purges the write queue when it sends a reset"},
    {Site::kSchedule, "schedule", Evidence::kDocumented,
     "sched(7): any order of threads and peers"},
    {Site::kInterrupt, "interrupt", Evidence::kWitnessed, "fact V2"},
    {Site::kNotificationTime, "notification.time", Evidence::kDocumented,
     "facts Z1, Z2; io_uring_prep_send_zc(3): the notification may come at any time after the "
     "result"},
    {Site::kWorkerOrder, "worker.order", Evidence::kWitnessed, "fact L10"},
    {Site::kWorkerStarted, "worker.started", Evidence::kWitnessed, "fact C10"},
    {Site::kReadCold, "read.cold", Evidence::kWitnessed, "facts Y2, C10"},
    {Site::kNameCold, "name.cold", Evidence::kDocumented,
     "io_openat2(): LOOKUP_CACHED first, and a worker at EAGAIN"},
    {Site::kReadFileShort, "read.file_short", Evidence::kDocumented,
     "read(2), RETURN VALUE: it is not an error if this number is smaller; an error after some "
     "bytes"},
    {Site::kWriteFileShort, "write.file_short", Evidence::kDocumented,
     "write(2), RETURN VALUE: a partial write, when there is not enough space left"},
    {Site::kNoSpace, "disk.no_space", Evidence::kDocumented,
     "write(2), open(2), mkdir(2), rename(2), fallocate(2): ENOSPC"},
    {Site::kDiskError, "disk.error", Evidence::kDocumented, "read(2), write(2): EIO"},
    {Site::kSyncFails, "sync.fails", Evidence::kDocumented,
     "fsync(2), EIO; file_check_and_advance_wb_err() reports a lost page once"},
    {Site::kLinkTimeoutRace, "link_timeout.race", Evidence::kDocumented,
     "fact Q3; io_link_timeout_fn() may run while __io_disarm_linked_timeout() waits for its lock"},
    {Site::kBundleShort, "bundle.short", Evidence::kWitnessed, "fact D2"},
    {Site::kBundleEnds, "bundle.ends", Evidence::kWitnessed, "fact D3"},
};

constexpr bool InOrder() {
  for (size_t index = 0; index < std::size(kSites); ++index) {
    if (kSites[index].site != static_cast<Site>(index)) return false;
  }
  return true;
}
static_assert(std::size(kSites) == static_cast<size_t>(Site::kCount));
static_assert(InOrder());

}  // namespace

std::span<const SiteInfo> Sites() { return kSites; }

const SiteInfo& InfoOf(Site site) {
  ORRERY_CHECK(site < Site::kCount);
  return kSites[static_cast<size_t>(site)];
}

const SiteInfo* FindSite(std::string_view name) {
  for (const SiteInfo& info : kSites) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

}  // namespace orrery::model
