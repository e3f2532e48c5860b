// What would break: a command is not found, or tools get a wrong picture of the commands. The
// replies are those of Redis 7.0.15.
#include "server/command_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "server/testing_session.h"

namespace orrery::server {
namespace {

class CommandTableTest : public testing::Test {
 protected:
  std::string Run(std::string_view line) { return session_.Run(line); }

  TestingServer server_;
  TestingSession session_{server_};
};

TEST_F(CommandTableTest, FindsEveryCommandInAnyCase) {
  const CommandTable& table = server_.table;
  for (const CommandSpec* spec : table.commands()) {
    std::string name(spec->name);
    EXPECT_EQ(table.Find(name), spec);
    for (char& c : name) c = static_cast<char>(std::toupper(c));
    EXPECT_EQ(table.Find(name), spec);
    EXPECT_EQ(table.Find(name + "x"), nullptr);
    EXPECT_EQ(table.Find(name.substr(0, name.size() - 1)), nullptr);
  }
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(table.Find(std::string(1000, 'x')), nullptr);
  EXPECT_EQ(table.Find(std::string_view("get\0", 4)), nullptr);
  EXPECT_EQ(table.FindFullName("Config|Get")->name, "config|get");
  EXPECT_EQ(table.FindFullName("config|nosuch"), nullptr);
  EXPECT_EQ(table.FindFullName("nosuch|get"), nullptr);
}

TEST_F(CommandTableTest, EveryCommandIsDescribed) {
  const auto check = [](const CommandSpec& spec) {
    EXPECT_NE(spec.arity, 0) << spec.name;
    EXPECT_TRUE(spec.handler != nullptr || !spec.subcommands.empty()) << spec.name;
    EXPECT_FALSE(spec.summary.empty() || spec.since.empty() || spec.group.empty()) << spec.name;
    EXPECT_EQ(spec.keys.first > 0, spec.keys.step > 0) << spec.name;
    EXPECT_EQ(spec.keys.first > 0, !spec.key_flags.empty()) << spec.name;
  };
  for (const CommandSpec* spec : server_.table.commands()) {
    check(*spec);
    for (const CommandSpec& subcommand : spec->subcommands) {
      check(subcommand);
      EXPECT_TRUE(subcommand.name.starts_with(std::string(spec->name) + "|"));
      EXPECT_NE(subcommand.handler, nullptr);
    }
  }
}

TEST_F(CommandTableTest, CommandInfo) {
  EXPECT_EQ(Run("COMMAND INFO get nosuch"),
            "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n"
            "+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access"
            "\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5"
            "\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec"
            "\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
            "$-1\r\n");
  EXPECT_EQ(Run("COMMAND INFO config|get"),
            "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*4\r\n+admin\r\n+noscript\r\n+loading\r\n"
            "+stale\r\n:0\r\n:0\r\n:0\r\n*3\r\n+@admin\r\n+@slow\r\n+@dangerous\r\n*0\r\n*0\r\n*0"
            "\r\n");
  Run("HELLO 3");
  EXPECT_EQ(Run("COMMAND INFO mget nosuch"),
            "*2\r\n*10\r\n$4\r\nmget\r\n:-2\r\n~2\r\n+readonly\r\n+fast\r\n:1\r\n:-1\r\n:1\r\n~3"
            "\r\n+@read\r\n+@string\r\n+@fast\r\n~1\r\n$26\r\nrequest_policy:multi_shard\r\n~1\r\n"
            "%3\r\n$5\r\nflags\r\n~2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n%2\r\n$4\r\ntype"
            "\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n"
            "$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n%3\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\n"
            "keystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n~0\r\n_\r\n");
}

TEST_F(CommandTableTest, CommandsOfTheTable) {
  const std::string count = std::to_string(server_.table.commands().size());
  EXPECT_EQ(Run("COMMAND COUNT"), ":" + count + "\r\n");
  EXPECT_TRUE(Run("COMMAND").starts_with("*" + count + "\r\n"));
  EXPECT_TRUE(Run("COMMAND INFO").starts_with("*" + count + "\r\n"));
  EXPECT_TRUE(Run("COMMAND DOCS")
                  .starts_with("*" + std::to_string(2 * server_.table.commands().size()) + "\r\n"));
  EXPECT_EQ(Run("COMMAND DOCS nosuch get"),
            "*2\r\n$3\r\nget\r\n*8\r\n$7\r\nsummary\r\n$22\r\nGet the value of a key\r\n$5\r\n"
            "since\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\nstring\r\n$10\r\ncomplexity\r\n$4\r\n"
            "O(1)\r\n");
}

TEST_F(CommandTableTest, CommandList) {
  EXPECT_EQ(Run("COMMAND LIST FILTERBY pattern G*t"),
            "*3\r\n$3\r\nget\r\n$6\r\ngetset\r\n$6\r\ngetbit\r\n");
  EXPECT_EQ(Run("COMMAND LIST FILTERBY module foo"), "*0\r\n");
  EXPECT_EQ(Run("COMMAND LIST FILTERBY aclcat foo"), "*0\r\n");
  EXPECT_EQ(Run("COMMAND LIST FILTERBY aclcat admin"),
            "*14\r\n$11\r\nclient|kill\r\n$11\r\nclient|list\r\n$15\r\nclient|no-evict\r\n$12\r\n"
            "client|pause\r\n$14\r\nclient|unpause\r\n$5\r\ndebug\r\n$8\r\nshutdown\r\n"
            "$11\r\nslowlog|get\r\n$11\r\nslowlog|len\r\n$13\r\nslowlog|reset\r\n"
            "$10\r\nconfig|get\r\n$16\r\n"
            "config|resetstat\r\n$14\r\nconfig|rewrite\r\n$10\r\nconfig|set\r\n");
  EXPECT_EQ(Run("COMMAND LIST foo"), "-ERR syntax error\r\n");
  EXPECT_EQ(Run("COMMAND LIST FILTERBY foo bar"), "-ERR syntax error\r\n");
}

TEST_F(CommandTableTest, CommandGetKeys) {
  EXPECT_EQ(Run("COMMAND GETKEYS get a"), "*1\r\n$1\r\na\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS mset a b c d"), "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS del a b"), "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS nosuch a"), "-ERR Invalid command specified\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS config foo"), "-ERR Invalid command specified\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS config get a"), "-ERR The command has no key arguments\r\n");
  EXPECT_EQ(Run("COMMAND GETKEYS get a b"),
            "-ERR Invalid number of arguments specified for command\r\n");
}

}  // namespace
}  // namespace orrery::server
