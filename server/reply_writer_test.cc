// What would break: a client cannot read a reply, or a large value is copied for every reader.
#include "server/reply_writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/shared_bytes.h"
#include "runtime/pending_output.h"
#include "server/testing_output.h"

namespace orrery::server {
namespace {

class ReplyWriterTest : public testing::Test {
 protected:
  // Takes everything written so far out of the output.
  std::string Take() { return TakeOutput(output_); }

  // What `write` writes in the given version.
  template <typename Write>
  std::string In(RespVersion version, Write write) {
    ReplyWriter writer(output_, version, errors_);
    write(writer);
    return Take();
  }
  template <typename Write>
  std::string In2(Write write) {
    return In(RespVersion::k2, write);
  }
  template <typename Write>
  std::string In3(Write write) {
    return In(RespVersion::k3, write);
  }

  OutputBlockPool pool_;
  PendingOutput output_{pool_};
  ErrorCounts errors_;
};

TEST_F(ReplyWriterTest, WritesWhatIsTheSameInBothVersions) {
  const auto write = [](ReplyWriter& reply) {
    reply.SimpleString("PONG");
    reply.Ok();
    reply.Integer(0);
    reply.Integer(std::numeric_limits<int64_t>::min());
    reply.Bulk("");
    reply.Bulk(std::string_view("a\0\r\n", 4));
    reply.BulkInteger(-12);
    reply.Array(0);
    reply.Array(123);
  };
  const std::string expected = "+PONG\r\n+OK\r\n:0\r\n:-9223372036854775808\r\n$0\r\n\r\n$4\r\n" +
                               std::string("a\0\r\n", 4) + "\r\n$3\r\n-12\r\n*0\r\n*123\r\n";
  EXPECT_EQ(In2(write), expected);
  EXPECT_EQ(In3(write), expected);
}

TEST_F(ReplyWriterTest, WritesWhatDiffersByVersion) {
  const auto write = [](ReplyWriter& reply) {
    reply.Null();
    reply.NullArray();
    reply.Map(2);
    reply.Set(3);
    reply.Push(1);
    reply.Boolean(true);
    reply.Boolean(false);
    reply.Double(3.5);
    reply.Double(0.1);
    reply.Double(-std::numeric_limits<double>::infinity());
    reply.Verbatim("some\r\ntext");
  };
  EXPECT_EQ(
      In2(write),
      "$-1\r\n*-1\r\n*4\r\n*3\r\n*1\r\n:1\r\n:0\r\n$3\r\n3.5\r\n$19\r\n0.10000000000000001\r\n"
      "$4\r\n-inf\r\n$10\r\nsome\r\ntext\r\n");
  EXPECT_EQ(In3(write),
            "_\r\n_\r\n%2\r\n~3\r\n>1\r\n#t\r\n#f\r\n,3.5\r\n,0.10000000000000001\r\n,-inf\r\n"
            "=14\r\ntxt:some\r\ntext\r\n");
}

TEST_F(ReplyWriterTest, KeepsAnErrorOnOneLine) {
  const auto error = [&](std::string_view text) {
    return In2([&](ReplyWriter& reply) { reply.Error(text); });
  };
  EXPECT_EQ(error("ERR syntax error"), "-ERR syntax error\r\n");
  EXPECT_EQ(error("\r\nERR a\r\nb\nc\n\n"), "-ERR a  b c\r\n");
  EXPECT_EQ(error(""), "-\r\n");
  const std::string longer(3 * PendingOutput::kBlockBytes, 'x');
  EXPECT_EQ(error(longer), "-" + longer + "\r\n");
}

TEST_F(ReplyWriterTest, WritesBulksOfAnySizeOverBlocks) {
  std::string expected;
  ReplyWriter reply(output_, RespVersion::k2, errors_);
  for (size_t size = 0; size < 3 * PendingOutput::kBlockBytes; size += 97) {
    const std::string bytes(size, static_cast<char>('a' + size % 26));
    reply.Bulk(bytes);
    expected += "$" + std::to_string(size) + "\r\n" + bytes + "\r\n";
  }
  EXPECT_EQ(Take(), expected);
}

TEST_F(ReplyWriterTest, BorrowsLargeBodiesAndCopiesSmallOnes) {
  const SharedBytes large = SharedBytes::Copy(std::string(ReplyWriter::kBorrowBytesMin, 'l'));
  const SharedBytes small = SharedBytes::Copy(std::string(ReplyWriter::kBorrowBytesMin - 1, 's'));
  ReplyWriter reply(output_, RespVersion::k2, errors_);
  reply.BulkBody(large);
  reply.BulkBody(small);
  EXPECT_EQ(large.references(), 2u);
  EXPECT_EQ(small.references(), 1u);
  EXPECT_EQ(output_.copied_bytes(), 2 * std::string_view("$4096\r\n\r\n").size() + small.size());
  EXPECT_EQ(Take(), "$4096\r\n" + std::string(large.view()) + "\r\n$4095\r\n" +
                        std::string(small.view()) + "\r\n");
  EXPECT_EQ(large.references(), 1u);
}

}  // namespace
}  // namespace orrery::server
