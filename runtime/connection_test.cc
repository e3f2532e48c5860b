// A connection that starts with the wrong marks is armed twice or never; one that keeps its blocks
// leaks them.
#include "runtime/connection.h"

#include "base/slab.h"
#include "gtest/gtest.h"

namespace orrery {
namespace {

TEST(Connection, StartsOpenAndIdle) {
  OutputBlockPool blocks;
  Slab<Connection> slab(2);
  Connection* connection = slab.Allocate(File::Descriptor(7), blocks);
  EXPECT_EQ(connection->descriptor(), 7);
  EXPECT_FALSE(connection->file().fixed);
  EXPECT_EQ(slab.Find(connection->handle()), connection);
  EXPECT_EQ(connection->phase(), Phase::kOpen);
  EXPECT_TRUE(connection->open());
  EXPECT_FALSE(connection->reads_paused());
  EXPECT_FALSE(connection->arm_queued);
  EXPECT_TRUE(connection->output().empty());
  EXPECT_EQ(blocks.blocks_in_use(), 0U);  // Ten thousand idle ones cost none.
}

// Beside what the application keeps, an idle connection costs this (docs/performance.md).
TEST(Connection, IsSmall) { EXPECT_LE(sizeof(Connection), 176U); }

TEST(Connection, ItsOutputDiesWithIt) {
  OutputBlockPool blocks;
  Slab<Connection> slab(1);
  const SharedBytes body = SharedBytes::Copy("body");
  Connection* connection = slab.Allocate(File::Descriptor(7), blocks);
  connection->output().Append("header");
  connection->output().AppendBody(body);
  EXPECT_EQ(blocks.blocks_in_use(), 1U);
  slab.Release(connection->handle());
  EXPECT_EQ(blocks.blocks_in_use(), 0U);
  EXPECT_TRUE(body.unique());
}

// The phases' order is what "only moves forwards" and the comparisons on it mean.
static_assert(Phase::kOpen < Phase::kFlushing);
static_assert(Phase::kFlushing < Phase::kDraining);
static_assert(Phase::kDraining < Phase::kClosing);
static_assert(Phase::kClosing < Phase::kClosed);

}  // namespace
}  // namespace orrery
