// liburing's functions and the system calls answer a program on the model as they answer it on
// Linux: one program, linked with each, must write the same.
#include "tests/liburing/calls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "sim/program_world.h"

namespace orrery {
namespace {

std::string OnLinux() {
  FILE* const output = ::popen("tests/liburing/calls_on_linux", "r");
  EXPECT_NE(output, nullptr);
  std::string text;
  std::array<char, 4096> piece;
  while (const size_t count = std::fread(piece.data(), 1, piece.size(), output)) {
    text.append(piece.data(), count);
  }
  EXPECT_EQ(::pclose(output), 0);
  return text;
}

std::string OnTheModel() {
  char* memory = nullptr;
  size_t bytes = 0;
  FILE* const output = ::open_memstream(&memory, &bytes);
  sim::ProgramWorld world(0, {});
  world.Start([output] {
    make_calls(output);
    return 0;
  });
  EXPECT_TRUE(world.RunUntilExit()) << world.Story();
  std::fclose(output);
  std::string text(memory, bytes);
  std::free(memory);
  return text;
}

TEST(Calls, AnswerAsOnLinux) {
  const std::string linux_text = OnLinux();
  const std::string model_text = OnTheModel();
  EXPECT_EQ(model_text, linux_text);
  const auto lines = std::count(linux_text.begin(), linux_text.end(), '\n');
  EXPECT_GT(lines, 300);
  std::printf("%d lines of answers are the same\n", static_cast<int>(lines));
}

}  // namespace
}  // namespace orrery
