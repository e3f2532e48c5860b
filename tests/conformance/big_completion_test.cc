// Completions of 32 bytes, on rings that have nothing else and on rings that mix them with those of
// 16. Who walks such a queue wrongly reads half of one as the next.
#include <array>
#include <cerrno>
#include <vector>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;

// Not in the headers of liburing 2.3.
constexpr unsigned kCqeMixed = 1U << 18;  // IORING_SETUP_CQE_MIXED
constexpr uint32_t kNopInjectResult = 1;  // IORING_NOP_INJECT_RESULT
constexpr uint32_t kNopBig = 1U << 5;     // IORING_NOP_CQE32
constexpr uint32_t kFlagSkip = 1U << 5;   // IORING_CQE_F_SKIP
constexpr uint32_t kFlagBig = 1U << 15;   // IORING_CQE_F_32

class BigCompletions : public Conformance {
 protected:
  struct Slot {
    uint32_t id = 0;
    int32_t result = 0;
    uint32_t flags = 0;
    std::array<uint64_t, 2> extra{};
    friend bool operator==(const Slot&, const Slot&) = default;
  };

  void Big(uint32_t id, int32_t result, uint64_t first, uint64_t second) {
    io_uring_sqe& sqe = Raw(IORING_OP_NOP, id);
    sqe.rw_flags = static_cast<int>(kNopInjectResult | kNopBig);
    sqe.len = static_cast<uint32_t>(result);
    sqe.off = first;
    sqe.addr = second;
  }

  // What has been posted, by position, and takes it off.
  std::vector<Slot> Slots() {
    std::vector<Slot> slots;
    io_uring_cq& cq = ring().memory().cq;
    const bool all_big = (ring().memory().flags & IORING_SETUP_CQE32) != 0;
    unsigned head = *cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(cq.ktail);
    while (static_cast<int>(tail - head) > 0) {
      const io_uring_cqe& cqe = cq.cqes[(head & cq.ring_mask) << (all_big ? 1 : 0)];
      const bool big = all_big || (cqe.flags & kFlagBig) != 0;
      Slot slot{
          .id = UserData::Unpack(cqe.user_data).slot.index, .result = cqe.res, .flags = cqe.flags};
      if (big) slot.extra = {cqe.big_cqe[0], cqe.big_cqe[1]};
      slots.push_back(slot);
      head += big && !all_big ? 2 : 1;
    }
    EXPECT_EQ(head, tail);
    io_uring_smp_store_release(cq.khead, tail);
    return slots;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, BigCompletions, AllWorlds(), WorldName);

TEST_P(BigCompletions, V13_ARingOfBigOnesHasNothingElse) {
  UseRing(4, Mode(IORING_SETUP_CQE32));
  for (uint32_t round = 0; round < 5; ++round) {
    Big(1, 5, 11 + round, 22);
    ASSERT_TRUE(queue().Nop(Id(2)));
    EXPECT_EQ(Enter(), 2U);
    EXPECT_THAT(Slots(), ElementsAre(Slot{1, 5, 0, {11 + round, 22}}, Slot{2, 0, 0, {0, 0}}));
  }
}

TEST_P(BigCompletions, V13_InAMixedRingABigOneTakesTwoPlaces) {
  UseRing(4, Mode(kCqeMixed));
  ASSERT_TRUE(queue().Nop(Id(1)));
  Big(2, -EIO, 11, 22);
  ASSERT_TRUE(queue().Nop(Id(3)));
  EXPECT_EQ(Enter(), 3U);
  EXPECT_EQ(*ring().memory().cq.ktail, 4U);
  EXPECT_THAT(Slots(),
              ElementsAre(Slot{1, 0, 0, {}}, Slot{2, -EIO, kFlagBig, {11, 22}}, Slot{3, 0, 0, {}}));
}

TEST_P(BigCompletions, V13_OneThatWouldWrapLeavesAFillerBehind) {
  UseRing(4, Mode(kCqeMixed));
  ASSERT_EQ(ring().memory().cq.ring_entries, 8U);
  for (uint32_t id = 0; id < 7; ++id) {
    ASSERT_TRUE(queue().Nop(Id(id)));
    EXPECT_EQ(Enter(), 1U);
    EXPECT_THAT(Slots(), ElementsAre(Slot{id, 0, 0, {}}));
  }
  Big(7, 1, 11, 22);
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Slots(), ElementsAre(Slot{0, 0, kFlagSkip, {}}, Slot{7, 1, kFlagBig, {11, 22}}));
}

TEST_P(BigCompletions, V13_OneThatFindsOnePlaceGoesToTheBacklog) {
  UseRing(4, Mode(kCqeMixed));
  for (uint32_t id = 0; id < 3; ++id) {
    Big(id, 0, id, id);
    EXPECT_EQ(Enter(), 1U);
  }
  ASSERT_TRUE(queue().Nop(Id(3)));
  Big(4, 0, 44, 44);
  EXPECT_EQ(Enter(), 2U);
  EXPECT_TRUE(driven().shows(IORING_SQ_CQ_OVERFLOW));
  EXPECT_THAT(Slots(), ElementsAre(Slot{0, 0, kFlagBig, {0, 0}}, Slot{1, 0, kFlagBig, {1, 1}},
                                   Slot{2, 0, kFlagBig, {2, 2}}, Slot{3, 0, 0, {}},
                                   Slot{0, 0, kFlagSkip, {}}));
  EXPECT_EQ(Enter(), 0U);
  EXPECT_FALSE(driven().shows(IORING_SQ_CQ_OVERFLOW));
  EXPECT_THAT(Slots(), ElementsAre(Slot{4, 0, kFlagBig, {44, 44}}));
}

TEST_P(BigCompletions, V13_AnOrdinaryRingHasNone) {
  Big(1, 5, 11, 22);
  EXPECT_THAT(Await(1), ElementsAre(Final(1, -EINVAL)));
}

}  // namespace
}  // namespace orrery::conformance
