// Every command of the server is in the simulation's workload and in its sequential model.
//
// What would break: a new command would run in no world, and nobody would know.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/prng.h"
#include "server/command_table.h"
#include "tests/scenarios/command_generator.h"
#include "tests/scenarios/sequential_model.h"

namespace orrery::scenarios {
namespace {

// What is compared with redis-server by //tests/e2e only: replies that are texts for people.
constexpr auto kNotDrawn = std::to_array<std::string_view>(
    {"client|help", "command|help", "config|help", "slowlog|help", "pubsub|help"});

std::string Lower(std::string text) {
  for (char& byte : text) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte - 'A' + 'a');
  }
  return text;
}

std::vector<std::string> NamesOfTheServer() {
  const server::CommandTable table;
  std::vector<std::string> names;
  for (const server::CommandSpec* spec : table.commands()) {
    if (spec->handler != nullptr) names.emplace_back(spec->name);
    for (const server::CommandSpec& subcommand : spec->subcommands) {
      names.emplace_back(subcommand.name);
    }
  }
  return names;
}

TEST(Coverage, EveryCommandIsDrawnAndModelled) {
  std::set<std::string> drawn;
  Prng prng(1);
  const CommandOptions options{
      .control_odds = 10, .admin_odds = 20, .pubsub_odds = 10, .transaction_odds = 20};
  CommandGenerator generator(prng, options);
  for (int draw = 0; draw < 100'000; ++draw) {
    const std::vector<std::string> arguments = Materialize(generator.Draw());
    const std::string name = Lower(arguments[0]);
    drawn.insert(name);
    if (arguments.size() > 1) drawn.insert(name + "|" + Lower(arguments[1]));
  }
  for (const std::string& name : NamesOfTheServer()) {
    const bool is_not_drawn = std::ranges::find(kNotDrawn, name) != kNotDrawn.end();
    EXPECT_NE(drawn.contains(name), is_not_drawn) << name;
    SequentialModel model;
    SequentialModel::Connection connection;
    const size_t bar = name.find('|');
    std::vector<std::string> arguments = {name.substr(0, bar)};
    if (bar != std::string::npos) arguments.push_back(name.substr(bar + 1));
    const Expectation expected = model.Execute(connection, arguments, {});
    EXPECT_TRUE(is_not_drawn || !expected.bytes.starts_with("-ERR unknown")) << name;
  }
}

}  // namespace
}  // namespace orrery::scenarios
