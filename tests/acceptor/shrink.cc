#include "tests/acceptor/shrink.h"

#include <algorithm>
#include <utility>

namespace orrery::acceptor {
namespace {

class Shrinker {
 public:
  Shrinker(const Program& program, const std::function<bool(const Program&)>& fails,
           size_t tries_max)
      : best_(program), fails_(fails), tries_left_(tries_max) {}

  Program Run() {
    for (bool shorter = true; shorter && tries_left_ > 0;) {
      shorter = RemoveSteps();
      shorter |= RemoveSurroundings();
    }
    return best_;
  }

 private:
  bool Keep(Program candidate) {
    if (tries_left_ == 0) return false;
    --tries_left_;
    if (!fails_(candidate)) return false;
    best_ = std::move(candidate);
    return true;
  }

  // Pieces of all lengths, the long ones first, from the end on.
  bool RemoveSteps() {
    bool shorter = false;
    for (size_t piece = std::max<size_t>(best_.steps.size() / 2, 1); piece > 0; piece /= 2) {
      for (size_t end = best_.steps.size(); end >= piece; end = end > piece ? end - piece : 0) {
        Program candidate = best_;
        const auto last = candidate.steps.begin() + static_cast<ptrdiff_t>(end);
        candidate.steps.erase(last - static_cast<ptrdiff_t>(piece), last);
        shorter |= Keep(std::move(candidate));
        end = std::min(end, best_.steps.size() + piece);
      }
    }
    return shorter;
  }

  bool RemoveSurroundings() {
    bool shorter = false;
    while (best_.connections > 1) {
      Program candidate = best_;
      --candidate.connections;
      if (!Keep(std::move(candidate))) break;
      shorter = true;
    }
    if (best_.buffers > 0) {
      Program candidate = best_;
      candidate.buffers = 0;
      shorter |= Keep(std::move(candidate));
    }
    return shorter;
  }

  Program best_;
  const std::function<bool(const Program&)>& fails_;
  size_t tries_left_;
};

}  // namespace

Program Shrink(const Program& program, const std::function<bool(const Program&)>& fails,
               size_t tries_max) {
  return Shrinker(program, fails, tries_max).Run();
}

}  // namespace orrery::acceptor
