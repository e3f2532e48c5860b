// Which rings there can be, and who may use one. A program that asks for a mode and gets another,
// or enters a ring from the wrong thread, learns of it here.
#include <array>
#include <cerrno>
#include <memory>

#include "tests/conformance/fixture.h"

namespace orrery::conformance {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr unsigned kSqEntriesMax = 32768;
constexpr unsigned kCqEntriesMax = 65536;
constexpr unsigned kDeferred = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
// Not in the headers of liburing 2.3.
constexpr unsigned kNoSqArray = 1U << 16;
constexpr unsigned kSqRewind = 1U << 20;
constexpr unsigned kSqeMixed = 1U << 19;
constexpr unsigned kCqeMixed = 1U << 18;

class Rings : public Conformance {
 protected:
  struct Sizes {
    unsigned sq = 0;
    unsigned cq = 0;
    friend bool operator==(const Sizes&, const Sizes&) = default;
  };

  // What comes of asking for these sizes.
  Sizes Ask(unsigned entries, unsigned flags, unsigned cq_entries = 0) {
    io_uring_params parameters{};
    parameters.flags = flags;
    parameters.cq_entries = cq_entries;
    const auto made = world().SetUpRing(entries, parameters);
    if (!made) return {};
    EXPECT_EQ((*made)->memory().sq.ring_entries, parameters.sq_entries);
    EXPECT_EQ((*made)->memory().cq.ring_entries, parameters.cq_entries);
    return {.sq = parameters.sq_entries, .cq = parameters.cq_entries};
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Rings, AllWorlds(), WorldName);

TEST_P(Rings, S1_TheSizeOfTheSubmissionQueueIsRoundedUp) {
  EXPECT_EQ(Ask(1, 0).sq, 1U);
  EXPECT_EQ(Ask(3, 0).sq, 4U);
  EXPECT_EQ(Ask(64, 0).sq, 64U);
  EXPECT_EQ(SetUpError(0, 0), EINVAL);
  EXPECT_EQ(SetUpError(0, IORING_SETUP_CLAMP), EINVAL);
  EXPECT_EQ(SetUpError(kSqEntriesMax + 1, 0), EINVAL);
  EXPECT_EQ(Ask(kSqEntriesMax + 1, IORING_SETUP_CLAMP).sq, kSqEntriesMax);
}

TEST_P(Rings, S2_TheCompletionQueueIsTwiceAsLongUnlessAsked) {
  EXPECT_EQ(Ask(3, 0), (Sizes{.sq = 4, .cq = 8}));
  EXPECT_EQ(Ask(4, 0, 64), (Sizes{.sq = 4, .cq = 8})) << "ignored without CQSIZE";
  constexpr unsigned kSize = IORING_SETUP_CQSIZE;
  EXPECT_EQ(Ask(4, kSize, 9), (Sizes{.sq = 4, .cq = 16}));
  EXPECT_EQ(Ask(4, kSize, 4), (Sizes{.sq = 4, .cq = 4}));
  EXPECT_EQ(Ask(4, kSize, 3), (Sizes{.sq = 4, .cq = 4})) << "rounded before it is compared";
  EXPECT_EQ(SetUpError(4, kSize, 2), EINVAL);
  EXPECT_EQ(SetUpError(4, kSize, 0), EINVAL);
  EXPECT_EQ(SetUpError(4, kSize, kCqEntriesMax + 1), EINVAL);
  EXPECT_EQ(Ask(4, kSize | IORING_SETUP_CLAMP, kCqEntriesMax + 1).cq, kCqEntriesMax);
}

TEST_P(Rings, S3_FlagsThatDoNotGoTogetherAreRefused) {
  EXPECT_EQ(SetUpError(4, IORING_SETUP_DEFER_TASKRUN), EINVAL);
  EXPECT_EQ(SetUpError(4, IORING_SETUP_TASKRUN_FLAG), EINVAL);
  EXPECT_EQ(SetUpError(4, IORING_SETUP_SQ_AFF), EINVAL);
  for (const unsigned flags :
       {unsigned{IORING_SETUP_COOP_TASKRUN}, kDeferred, kDeferred | IORING_SETUP_COOP_TASKRUN}) {
    EXPECT_EQ(SetUpError(4, flags), 0) << flags;
    EXPECT_EQ(SetUpError(4, flags | IORING_SETUP_TASKRUN_FLAG), 0) << flags;
    EXPECT_EQ(SetUpError(4, flags | IORING_SETUP_SQPOLL), EINVAL) << flags;
  }
}

TEST_P(Rings, S4_UnknownFlagsAreRefused) {
  EXPECT_EQ(SetUpError(4, kCqeMixed), 0);
  EXPECT_EQ(SetUpError(4, IORING_SETUP_CQE32), 0);
  EXPECT_EQ(SetUpError(4, kCqeMixed | IORING_SETUP_CQE32), EINVAL);
  EXPECT_EQ(SetUpError(4, kSqeMixed), EINVAL);
  EXPECT_EQ(SetUpError(4, kSqRewind), EINVAL);
  EXPECT_EQ(SetUpError(4, 1U << 31), EINVAL);
}

TEST_P(Rings, S5_WithoutAnIndexArrayTheSqesAreTakenInOrder) {
  UseRing(4, Mode(kNoSqArray));
  ASSERT_EQ(ring().memory().sq.array, nullptr);
  for (uint32_t id = 0; id < 10; ++id) {
    ASSERT_TRUE(queue().Nop(Id(id)));
    EXPECT_EQ(Enter(), 1U);
    EXPECT_THAT(Visible(), ElementsAre(Final(id, 0)));
  }
}

TEST_P(Rings, S6_ADisabledRingIsEnabledOnce) {
  UseRing(4, Mode(IORING_SETUP_R_DISABLED));
  ASSERT_TRUE(queue().Nop(Id(1)));
  EXPECT_EQ(Enter(), std::unexpected(Errno(EBADFD)));
  EXPECT_EQ(driven().EnterWith(0), std::unexpected(Errno(EBADFD)));
  EXPECT_EQ(ring().Register(IORING_REGISTER_ENABLE_RINGS, nullptr, 0), 0U);
  EXPECT_EQ(ring().Register(IORING_REGISTER_ENABLE_RINGS, nullptr, 0),
            std::unexpected(Errno(EBADFD)));
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Rings, S6_TheThreadThatEnablesItIsItsOwner) {
  UseRing(4, Mode(IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER));
  ASSERT_TRUE(queue().Nop(Id(1)));
  world().OnAnotherThread(
      [&] { EXPECT_EQ(ring().Register(IORING_REGISTER_ENABLE_RINGS, nullptr, 0), 0U); });
  EXPECT_EQ(Enter(), std::unexpected(Errno(EEXIST)));
}

TEST_P(Rings, S7_ARingOfOneIssuerBelongsToTheThreadThatMadeIt) {
  UseRing(4, Mode(IORING_SETUP_SINGLE_ISSUER));
  ASSERT_TRUE(queue().Nop(Id(1)));
  world().OnAnotherThread([&] {
    EXPECT_EQ(Enter(), std::unexpected(Errno(EEXIST)));
    EXPECT_EQ(RegisterSparseFiles(ring(), 4), std::unexpected(Errno(EEXIST)));
  });
  EXPECT_EQ(Enter(), 1U);
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Rings, S7_OthersAreEverybodys) {
  UseRing(4, 0);
  ASSERT_TRUE(queue().Nop(Id(1)));
  world().OnAnotherThread([&] { EXPECT_EQ(Enter(), 1U); });
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 0)));
}

TEST_P(Rings, S8_AnotherThreadMayWaitUnlessTaskWorkIsDeferred) {
  UseRing(4, Mode(IORING_SETUP_SINGLE_ISSUER));
  world().OnAnotherThread([&] {
    const Errno expected(deferred() ? EEXIST : ETIME);
    EXPECT_EQ(Enter(1, kQuiet), std::unexpected(expected));
    EXPECT_EQ(driven().EnterWith(0), 0U);
  });
}

TEST_P(Rings, S9_ReservedParametersMustBeZeroAndFeaturesAreTold) {
  io_uring_params parameters{};
  parameters.features = ~0U;
  ASSERT_TRUE(world().SetUpRing(4, parameters));
  constexpr unsigned kNeeded = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                               IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP |
                               IORING_FEAT_LINKED_FILE;
  EXPECT_EQ(parameters.features & kNeeded, kNeeded);
  EXPECT_NE(parameters.features, ~0U);
  for (uint32_t& reserved : parameters.resv) {
    io_uring_params bad{};
    bad.resv[&reserved - parameters.resv] = 1;
    const auto made = world().SetUpRing(4, bad);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error(), Errno(EINVAL));
  }
}

TEST_P(Rings, S9_AProbeNamesTheOperations) {
  constexpr unsigned kOperations = 256;
  constexpr size_t kWords =
      (sizeof(io_uring_probe) + kOperations * sizeof(io_uring_probe_op)) / sizeof(uint64_t);
  std::array<uint64_t, kWords> memory{};
  // Plain data in zeroed memory, as liburing has it.
  auto* const probe = reinterpret_cast<io_uring_probe*>(memory.data());
  ASSERT_TRUE(ring().Register(IORING_REGISTER_PROBE, probe, kOperations));
  EXPECT_GE(probe->last_op, IORING_OP_SEND_ZC);
  EXPECT_EQ(probe->ops_len, probe->last_op + 1);
  for (const int opcode : {IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SEND_ZC}) {
    EXPECT_TRUE(::io_uring_opcode_supported(probe, opcode)) << opcode;
  }
  EXPECT_EQ(ring().Register(IORING_REGISTER_PROBE, probe, kOperations).error(), Errno(EINVAL))
      << "it must be empty";
}

// COOP_TASKRUN differs from no flags in what a program cannot see: whether an event interrupts it.
TEST_P(Rings, S10_ACooperativeRingShowsLateCompletionsAtAnySystemCall) {
  UseRing(16, IORING_SETUP_COOP_TASKRUN);
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  std::vector<Seen> seen;
  for (int i = 0; i < 10'000 && seen.empty(); ++i) {
    world().Pause();
    seen = Visible();
  }
  EXPECT_THAT(seen, ElementsAre(Final(1, 5)));
}

TEST_P(Rings, V4_WithItsFlagARingTellsThatTaskWorkIsPending) {
  UseRing(16, kDeferred | IORING_SETUP_TASKRUN_FLAG);
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  EXPECT_FALSE(driven().shows(IORING_SQ_TASKRUN));
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  EXPECT_TRUE(driven().shows(IORING_SQ_TASKRUN));
  EXPECT_THAT(Visible(), IsEmpty());
  EXPECT_EQ(Enter(), 0U);
  EXPECT_FALSE(driven().shows(IORING_SQ_TASKRUN));
  EXPECT_THAT(Visible(), ElementsAre(Final(1, 5)));
}

TEST_P(Rings, V4_WithoutTheFlagNothingTells) {
  UseRing(16, kDeferred);
  const Connection connection = Connect();
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(queue().Receive(File::Descriptor(connection.fd), bytes, 0, Id(1)));
  Submit();
  ASSERT_EQ(world().Send(connection.peer, "hello"), 5U);
  ASSERT_TRUE(world().AwaitReadable(connection.fd, 5));
  EXPECT_FALSE(driven().shows(IORING_SQ_TASKRUN));
  EXPECT_THAT(Await(1), ElementsAre(Final(1, 5)));
}

}  // namespace
}  // namespace orrery::conformance
