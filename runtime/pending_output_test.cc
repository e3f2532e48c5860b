// A wrong byte here is a corrupt reply; a body released early is freed memory on the wire, one
// released late is a leak.
#include "runtime/pending_output.h"

#include <array>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace orrery {
namespace {

class PendingOutputTest : public testing::Test {
 protected:
  static constexpr size_t kBlockBytes = PendingOutput::kBlockBytes;

  // The whole stream as it would be sent with chunks of `iovecs_max`, without advancing.
  std::string Front(size_t iovecs_max = 1024) {
    std::vector<iovec> iovecs(iovecs_max);
    const Chunk chunk = output_.Gather(iovecs);
    std::string bytes;
    for (uint32_t index = 0; index < chunk.iovecs; ++index) {
      EXPECT_GT(iovecs[index].iov_len, 0U);
      bytes.append(static_cast<const char*>(iovecs[index].iov_base), iovecs[index].iov_len);
    }
    EXPECT_EQ(bytes.size(), chunk.bytes);
    return bytes;
  }

  OutputBlockPool pool_;
  PendingOutput output_{pool_};
};

TEST_F(PendingOutputTest, NothingIsAnEmptyChunk) {
  std::array<iovec, 4> iovecs;
  const Chunk chunk = output_.Gather(iovecs);
  EXPECT_EQ(chunk.iovecs, 0U);
  EXPECT_EQ(chunk.bytes, 0U);
  EXPECT_TRUE(output_.empty());
  output_.Append("");
  output_.AppendBody(SharedBytes());
  output_.AppendBody(SharedBytes::Allocate(0));
  EXPECT_TRUE(output_.empty());
  EXPECT_EQ(output_.bodies(), 0U);
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
}

TEST_F(PendingOutputTest, BytesAndBodiesKeepTheirOrder) {
  output_.Append("a");
  output_.AppendBody(SharedBytes::Copy("BB"));
  output_.AppendBody(SharedBytes::Copy("CCC"));
  output_.Append("d");
  output_.Append("e");
  output_.AppendBody(SharedBytes::Copy("F"));
  EXPECT_EQ(Front(), "aBBCCCdeF");
  EXPECT_EQ(output_.size_bytes(), 9U);
  EXPECT_EQ(output_.bodies(), 3U);
  EXPECT_EQ(output_.copied_bytes(), 3U);
  EXPECT_EQ(output_.borrowed_bytes(), 6U);
}

TEST_F(PendingOutputTest, ShortWriteInsideAHeaderResumesThere) {
  output_.Append("header");
  output_.AppendBody(SharedBytes::Copy("body"));
  output_.Advance(2);
  EXPECT_EQ(Front(), "aderbody");
  output_.Advance(4);
  EXPECT_EQ(Front(), "body");
}

TEST_F(PendingOutputTest, ShortWriteInsideABodyResumesThere) {
  const SharedBytes body = SharedBytes::Copy("0123456789");
  output_.Append("h");
  output_.AppendBody(body);
  output_.Append("t");
  output_.Advance(4);
  EXPECT_EQ(Front(), "3456789t");
  output_.Advance(1);
  EXPECT_EQ(Front(), "456789t");
  // Borrowed, not copied: the peer is sent the value's own memory.
  std::array<iovec, 1> iovecs;
  (void)output_.Gather(iovecs);
  EXPECT_EQ(iovecs[0].iov_base, body.data() + 4);
}

TEST_F(PendingOutputTest, BodyIsReleasedExactlyWithItsLastByte) {
  const SharedBytes first = SharedBytes::Copy("12345");
  const SharedBytes second = SharedBytes::Copy("678");
  output_.AppendBody(first);
  output_.AppendBody(second);
  EXPECT_EQ(first.references(), 2U);
  output_.Advance(4);
  EXPECT_EQ(first.references(), 2U);
  output_.Advance(1);
  EXPECT_EQ(first.references(), 1U);
  EXPECT_EQ(second.references(), 2U);
  EXPECT_EQ(output_.bodies(), 1U);
  output_.Advance(3);
  EXPECT_EQ(second.references(), 1U);
  EXPECT_EQ(output_.bodies(), 0U);
}

TEST_F(PendingOutputTest, DestructionReleasesEverything) {
  const SharedBytes body = SharedBytes::Copy("body");
  {
    PendingOutput output(pool_);
    output.Append(std::string(3 * kBlockBytes, 'x'));
    output.AppendBody(body);
    output.Advance(5);
  }
  EXPECT_EQ(body.references(), 1U);
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
}

TEST_F(PendingOutputTest, AChunkHasAtMostItsIovecs) {
  std::string all;
  for (int index = 0; index < 2000; ++index) {
    output_.Append("h");
    output_.AppendBody(SharedBytes::Copy("bb"));
    all += "hbb";
  }
  std::vector<iovec> iovecs(1024);
  std::string sent;
  int chunks = 0;
  while (!output_.empty()) {
    const std::string front = Front(1024);
    ASSERT_FALSE(front.empty());
    const Chunk chunk = output_.Gather(iovecs);
    ASSERT_LE(chunk.iovecs, 1024U);
    sent += front;
    output_.Advance(chunk.bytes);
    ++chunks;
  }
  EXPECT_EQ(sent, all);
  EXPECT_EQ(chunks, 4);  // 4000 parts.
}

TEST_F(PendingOutputTest, OneIovecIsEnoughForProgress) {
  output_.Append("ab");
  output_.AppendBody(SharedBytes::Copy("cd"));
  EXPECT_EQ(Front(1), "ab");
  output_.Advance(2);
  EXPECT_EQ(Front(1), "cd");
}

TEST_F(PendingOutputTest, LongBytesSpanBlocks) {
  std::string bytes;
  for (size_t index = 0; index < 3 * kBlockBytes + 17; ++index) {
    bytes.push_back(static_cast<char>(index * 31));
  }
  output_.Append(bytes);
  EXPECT_EQ(Front(), bytes);
  EXPECT_EQ(pool_.blocks_in_use(), 4U);
  output_.Advance(kBlockBytes + 1);
  EXPECT_EQ(Front(), bytes.substr(kBlockBytes + 1));
  EXPECT_EQ(pool_.blocks_in_use(), 3U);
}

TEST_F(PendingOutputTest, WhatTheKernelHoldsStaysWhileMoreIsAppended) {
  output_.Append("in flight ");
  output_.AppendBody(SharedBytes::Copy("body"));
  std::array<iovec, 8> iovecs;
  const Chunk chunk = output_.Gather(iovecs);
  for (int index = 0; index < 5000; ++index) {
    output_.Append("more");
    output_.AppendBody(SharedBytes::Copy("and more"));
  }
  std::string held;
  for (uint32_t index = 0; index < chunk.iovecs; ++index) {
    held.append(static_cast<const char*>(iovecs[index].iov_base), iovecs[index].iov_len);
  }
  EXPECT_EQ(held, "in flight body");
}

TEST_F(PendingOutputTest, ReserveWritesInPlace) {
  const std::span<char> room = output_.Reserve(5);
  ASSERT_GE(room.size(), 5U);
  std::copy_n("12345", 5, room.data());
  output_.Commit(3);
  EXPECT_EQ(Front(), "123");
  EXPECT_EQ(output_.copied_bytes(), 3U);
}

TEST_F(PendingOutputTest, ReserveNeverSplitsItsRoom) {
  output_.Append(std::string(kBlockBytes - 3, 'x'));
  const std::span<char> room = output_.Reserve(10);
  ASSERT_GE(room.size(), 10U);
  std::copy_n("0123456789", 10, room.data());
  output_.Commit(10);
  EXPECT_EQ(Front(), std::string(kBlockBytes - 3, 'x') + "0123456789");
  output_.Advance(kBlockBytes - 3);
  EXPECT_EQ(Front(), "0123456789");
  EXPECT_EQ(pool_.blocks_in_use(), 1U);
}

TEST_F(PendingOutputTest, AReservationThatIsNotUsedLeavesNothing) {
  (void)output_.Reserve(100);
  output_.Commit(0);
  EXPECT_EQ(pool_.blocks_in_use(), 0U);

  // The same when an emptied block and a new one stand behind each other while a body is left.
  output_.Append(std::string(kBlockBytes, 'x'));
  output_.AppendBody(SharedBytes::Copy("body"));
  output_.Advance(kBlockBytes);
  (void)output_.Reserve(100);
  output_.Commit(0);
  EXPECT_EQ(Front(), "body");
  output_.Advance(4);
  EXPECT_TRUE(output_.empty());
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
}

TEST_F(PendingOutputTest, IdleHoldsNoBlock) {
  output_.Append("x");
  EXPECT_EQ(pool_.blocks_in_use(), 1U);
  output_.Advance(1);
  EXPECT_EQ(pool_.blocks_in_use(), 0U);
  output_.Append("y");
  EXPECT_EQ(Front(), "y");
}

TEST_F(PendingOutputTest, AdvancingTooFarIsAMistake) {
  output_.Append("abc");
  EXPECT_DEATH(output_.Advance(4), "bytes <= size_bytes_");
}

TEST_F(PendingOutputTest, TakesAllOfAnother) {
  PendingOutput other(pool_);
  const SharedBytes body = SharedBytes::Copy("body");
  output_.Append("first ");
  output_.TakeAll(other);
  other.Append(std::string(10'000, 'x'));
  other.AppendBody(body);
  other.Append(" last");
  output_.TakeAll(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(other.bodies(), 0U);
  EXPECT_EQ(output_.bodies(), 1U);
  EXPECT_EQ(body.references(), 2U);
  EXPECT_EQ(Front(), "first " + std::string(10'000, 'x') + "body last");
}

TEST_F(PendingOutputTest, ABodyMayBeReplacedByTheSameBytes) {
  output_.Append("a");
  output_.AppendBody(SharedBytes::Copy("body"));
  const SharedBytes other = SharedBytes::Copy("body");
  output_.ForEachBody([&](SharedBytes& body) { body = other; });
  EXPECT_EQ(other.references(), 2U);
  EXPECT_EQ(Front(), "abody");
}

TEST_F(PendingOutputTest, AChunkWithoutIovecsIsAMistake) {
  EXPECT_DEATH((void)output_.Gather({}), "iovecs");
}

TEST(OutputBlockPool, ReusesBlocks) {
  OutputBlockPool pool;
  OutputBlockPool::Block* first = pool.Take();
  first->used_bytes = 7;
  pool.Give(first);
  OutputBlockPool::Block* second = pool.Take();
  EXPECT_EQ(second, first);
  EXPECT_EQ(second->used_bytes, 0U);
  EXPECT_EQ(second->next, nullptr);
  pool.Give(second);
}

TEST(OutputBlockPool, KeepsABoundedNumber) {
  OutputBlockPool pool;
  std::vector<OutputBlockPool::Block*> blocks;
  for (size_t count = 0; count < OutputBlockPool::kFreeBlocksMax + 10; ++count) {
    blocks.push_back(pool.Take());
  }
  EXPECT_EQ(pool.blocks_in_use(), blocks.size());
  // Those above the limit go back to the allocator; the leak checker sees that none is lost.
  for (OutputBlockPool::Block* block : blocks) pool.Give(block);
  EXPECT_EQ(pool.blocks_in_use(), 0U);
}

TEST(OutputBlockPoolDeathTest, ABlockThatNeverComesBackIsNoticed) {
  const auto lose = [] {
    OutputBlockPool pool;
    (void)pool.Take();
  };
  EXPECT_DEATH(lose(), "before its blocks came back");
}

}  // namespace
}  // namespace orrery
