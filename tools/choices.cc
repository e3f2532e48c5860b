// choices: writes docs/choices.md, the page of all choice sites of the model.
//
// `bazel run` says where the tree is. It reads the sheet of facts and what `//tools:outcomes`
// measured.
// Exit code 0: written, or it was as it should be. 1: a file cannot be read or written.

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>

#include "kernel_model/choice.h"
#include "tools/choices_page.h"

namespace {

std::optional<std::string> Read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return std::nullopt;
  return text.str();
}

}  // namespace

int main() {
  const char* const tree = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  const std::string docs = std::string(tree == nullptr ? "." : tree) + "/docs/";
  const std::optional<std::string> facts = Read(docs + "kernel_facts.md");
  const std::optional<std::string> witnessed = Read(docs + "choices_witnessed.json");
  if (!facts || !witnessed) {
    fmt::print(stderr, "choices: cannot read kernel_facts.md or choices_witnessed.json in {}\n",
               docs);
    return 1;
  }
  const std::string page = orrery::tools::ChoicesPage(orrery::model::Sites(), *facts, *witnessed);
  const std::string path = docs + "choices.md";
  if (Read(path) == page) {
    fmt::print("{} is up to date: {} sites\n", path, orrery::model::Sites().size());
    return 0;
  }
  std::ofstream file(path);
  file << page;
  file.close();
  if (!file) {
    fmt::print(stderr, "choices: cannot write {}\n", path);
    return 1;
  }
  fmt::print("wrote {}: {} sites\n", path, orrery::model::Sites().size());
  return 0;
}
