// What would break: bytes of an unfinished frame get lost, or idle connections keep memory.
#include "server/input_buffer.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace orrery::server {
namespace {

TEST(InputBufferTest, AnEmptyBufferHoldsNoMemory) {
  InputBuffer buffer;
  static_assert(sizeof(buffer) == sizeof(void*));
  buffer.Append("");
  EXPECT_EQ(buffer.capacity_bytes(), 0u);
  buffer.Append(std::string(100'000, 'x'));
  buffer.ConsumeFront(99'999);
  EXPECT_EQ(buffer.view(), "x");
  buffer.ConsumeFront(1);
  EXPECT_EQ(buffer.capacity_bytes(), 0u);
  EXPECT_TRUE(buffer.empty());
}

TEST(InputBufferTest, MemoryStaysNearWhatItHolds) {
  InputBuffer buffer;
  size_t appended = 0;
  for (size_t round = 0; round < 10'000; ++round) {
    buffer.Append("0123456789");
    appended += 10;
    EXPECT_LE(buffer.capacity_bytes(), std::max<size_t>(256, 2 * appended));
  }
  // A stream that passes through does not make it grow.
  for (size_t round = 0; round < 100'000; ++round) {
    buffer.ConsumeFront(10);
    buffer.Append("0123456789");
  }
  EXPECT_LE(buffer.capacity_bytes(), 4 * appended);
}

RC_GTEST_PROP(InputBufferProperty, IsAQueueOfBytes, ()) {
  InputBuffer buffer;
  std::string model;
  for (const auto& [bytes, consume] :
       *rc::gen::arbitrary<std::vector<std::pair<std::string, size_t>>>()) {
    buffer.Append(bytes);
    model += bytes;
    const size_t front = consume % (model.size() + 1);
    buffer.ConsumeFront(front);
    model.erase(0, front);
    if (consume % 3 == 0) {
      model.resize(consume % (model.size() + 1));
      buffer.Truncate(model.size());
    }
    RC_ASSERT(buffer.view() == model);
    RC_ASSERT(buffer.size() == model.size());
    RC_ASSERT(buffer.empty() == model.empty());
  }
}

}  // namespace
}  // namespace orrery::server
