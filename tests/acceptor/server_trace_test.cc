// What Linux did is accepted in full, and what no kernel does is refused, with the place: if the
// second were not so, the first would mean nothing.
#include "tests/acceptor/server_trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ring/user_data.h"
#include "tests/acceptor/server_trace_acceptor.h"
#include "tests/acceptor/server_trace_program.h"
#include "tests/conformance/model_world.h"
#include "tests/conformance/real_world.h"

namespace orrery::acceptor {
namespace {

using Kind = TraceVerdict::Kind;

class IgnoringObserver final : public model::Observer {
 public:
  void OnEvent(const model::Event&) override {}
  void OnViolation(std::string_view invariant, std::string_view detail) override {
    ADD_FAILURE() << invariant << ": " << detail;
  }
};

ServerTrace RecordOnModel(model::Defect defect = model::Defect::kNone) {
  model::BenignChoice choice;
  IgnoringObserver observer;
  conformance::ModelWorld world({.defect = defect}, choice, observer);
  return ParseTrace(RecordTestProgram(world)).value();
}

// One trace of Linux for all tests, which spoil copies of it.
const std::vector<std::byte>& LinuxFile() {
  static const std::vector<std::byte> file =
      RecordTestProgram(*conformance::MakeRealWorld(/*deferred=*/true));
  return file;
}

const ServerTrace& LinuxTrace() {
  static const ServerTrace trace = ParseTrace(LinuxFile()).value();
  return trace;
}

std::string Explain(const TraceVerdict& verdict) {
  return verdict.place + "\n" + verdict.reason + "\n" + verdict.window;
}

// A completion of a trace.
struct Place {
  TracedEnter* enter = nullptr;
  size_t index = 0;
  TracedCompletion& completion() const { return enter->completions[index]; }
};

std::vector<Place> PlacesOf(ServerTrace& trace) {
  std::vector<Place> places;
  for (TraceEvent& event : trace.events) {
    auto* const enter = std::get_if<TracedEnter>(&event);
    if (enter == nullptr) continue;
    for (size_t index = 0; index < enter->completions.size(); ++index) {
      places.push_back({enter, index});
    }
  }
  return places;
}

bool HasBuffer(const TracedCompletion& completion) {
  return (completion.flags & IORING_CQE_F_BUFFER) != 0;
}

// The first completion of which this is true; the test fails when there is none.
Place FindPlace(ServerTrace& trace, const std::function<bool(const Place&)>& is_it) {
  for (const Place& place : PlacesOf(trace)) {
    if (is_it(place)) return place;
  }
  ADD_FAILURE() << "the trace has no such place";
  static TracedEnter none;
  none.completions.assign(2, {});
  return {&none, 0};
}

// Two completions in a row with buffers, of one connection or of two.
Place FindPair(ServerTrace& trace, bool of_one) {
  return FindPlace(trace, [&](const Place& place) {
    const std::vector<TracedCompletion>& all = place.enter->completions;
    if (place.index + 1 >= all.size()) return false;
    const TracedCompletion& next = all[place.index + 1];
    return HasBuffer(place.completion()) && HasBuffer(next) &&
           (place.completion().user_data == next.user_data) == of_one;
  });
}

void ExpectRefused(const ServerTrace& trace, const std::string& reason_part = "") {
  const TraceVerdict verdict = ExplainServerTrace(trace, {});
  EXPECT_EQ(verdict.kind, Kind::kRefused) << Explain(verdict);
  EXPECT_FALSE(verdict.place.empty());
  EXPECT_FALSE(verdict.window.empty());
  EXPECT_NE(verdict.reason.find(reason_part), std::string::npos) << Explain(verdict);
}

// --- What is accepted

TEST(ServerTrace, WhatLinuxDidIsAcceptedInFull) {
  const TraceVerdict verdict = ExplainServerTrace(LinuxTrace(), {});
  EXPECT_EQ(verdict.kind, Kind::kAccepted) << Explain(verdict);
  EXPECT_EQ(verdict.connections, 24U);
  EXPECT_GE(verdict.completions, 250U);
  EXPECT_GE(verdict.starved, 2U);
  EXPECT_GE(verdict.received_bytes, 2000U);
}

TEST(ServerTrace, WhatTheModelDidIsAcceptedInFull) {
  const TraceVerdict verdict = ExplainServerTrace(RecordOnModel(), {});
  EXPECT_EQ(verdict.kind, Kind::kAccepted) << Explain(verdict);
}

TEST(ServerTrace, TheProgramShowsWhatTheAcceptorLooksAt) {
  ServerTrace trace = LinuxTrace();
  size_t longest = 0;
  for (TraceEvent& event : trace.events) {
    if (const auto* enter = std::get_if<TracedEnter>(&event)) {
      longest = std::max(longest, enter->completions.size());
    }
  }
  EXPECT_GE(longest, 33U);  // Fact M9.
  FindPlace(trace, [](const Place& place) { return place.completion().result == -ENOBUFS; });
  FindPlace(trace, [](const Place& place) { return place.completion().result == -ECONNRESET; });
  FindPlace(trace, [](const Place& place) { return place.completion().result == -ECANCELED; });
  FindPlace(trace, [](const Place& place) { return place.completion().result == -ENOENT; });
}

// --- What is refused

TEST(ServerTrace, ADroppedCompletionIsRefused) {
  const size_t count = [] {
    ServerTrace trace = LinuxTrace();
    return PlacesOf(trace).size();
  }();
  for (size_t number = 0; number < count; ++number) {
    ServerTrace trace = LinuxTrace();
    const Place place = PlacesOf(trace)[number];
    std::erase_if(place.enter->completions,
                  [&](const TracedCompletion& each) { return &each == &place.completion(); });
    const TraceVerdict verdict = ExplainServerTrace(trace, {});
    EXPECT_EQ(verdict.kind, Kind::kRefused) << "without completion " << number;
  }
}

TEST(ServerTrace, EachFlippedFMoreIsRefused) {
  ServerTrace trace = LinuxTrace();
  for (const Place& place : PlacesOf(trace)) {
    place.completion().flags ^= IORING_CQE_F_MORE;
    EXPECT_EQ(ExplainServerTrace(trace, {}).kind, Kind::kRefused) << ToText(place.completion());
    place.completion().flags ^= IORING_CQE_F_MORE;
  }
}

TEST(ServerTrace, EachOtherResultIsRefused) {
  ServerTrace trace = LinuxTrace();
  for (const Place& place : PlacesOf(trace)) {
    const Operation operation = UserData::Unpack(place.completion().user_data).operation;
    // Any number that is not open is as good.
    if (operation == Operation::kAccept && place.completion().result >= 0) continue;
    --place.completion().result;
    EXPECT_EQ(ExplainServerTrace(trace, {}).kind, Kind::kRefused) << ToText(place.completion());
    ++place.completion().result;
  }
}

TEST(ServerTrace, BuffersInAnotherOrderAreRefused) {
  ServerTrace trace = LinuxTrace();
  const Place place = FindPair(trace, /*of_one=*/false);
  std::swap(place.completion().flags, place.enter->completions[place.index + 1].flags);
  ExpectRefused(trace, "buffer");
}

TEST(ServerTrace, StarvingWithBuffersLeftIsRefused) {
  ServerTrace trace = LinuxTrace();
  const Place place = FindPlace(trace, [](const Place& it) { return HasBuffer(it.completion()); });
  place.completion().result = -ENOBUFS;
  place.completion().flags = 0;
  place.completion().payload = {};
  ExpectRefused(trace);
}

TEST(ServerTrace, NotStarvingWithoutABufferIsRefused) {
  ServerTrace trace = LinuxTrace();
  const Place place = FindPlace(trace, [](const Place& it) {
    return it.completion().result == -ENOBUFS && it.index > 0 &&
           HasBuffer(it.enter->completions[it.index - 1]);
  });
  place.completion() = place.enter->completions[place.index - 1];
  ExpectRefused(trace, "ENOBUFS");
}

TEST(ServerTrace, MoreThanTheCapInOneEnterIsRefused) {  // Fact V7.
  ServerTrace trace = LinuxTrace();
  // "hello" of 24 connections: 20, and 4 in the next Enter.
  TracedEnter* full = nullptr;
  for (TraceEvent& event : trace.events) {
    auto* const enter = std::get_if<TracedEnter>(&event);
    if (enter == nullptr) continue;
    if (full != nullptr) {
      ASSERT_EQ(enter->completions.size(), 4U);
      for (TracedCompletion& late : enter->completions) {
        full->completions.push_back(std::move(late));
      }
      enter->completions.clear();
      break;
    }
    if (enter->to_submit == 0 && enter->completions.size() == 20) full = enter;
  }
  ASSERT_NE(full, nullptr);
  ExpectRefused(trace, "Linux: 24 completions in this Enter\nmodel: 20");
}

TEST(ServerTrace, MoreThanItsShareInOneRunIsRefused) {  // Fact M9.
  ServerTrace trace = LinuxTrace();
  const Place first = FindPlace(trace, [](const Place& it) {
    return HasBuffer(it.completion()) && it.enter->completions.size() >= 33 &&
           it.enter->completions[32].user_data == it.completion().user_data;
  });
  // One more of the same connection, at once.
  for (const Place& place : PlacesOf(trace)) {
    if (place.enter == first.enter || !HasBuffer(place.completion())) continue;
    if (place.enter->start < first.enter->start) continue;
    if (place.completion().user_data != first.completion().user_data) continue;
    TracedCompletion moved = place.completion();
    place.enter->completions.erase(place.enter->completions.begin() +
                                   static_cast<ptrdiff_t>(place.index));
    first.enter->completions.insert(first.enter->completions.begin() + 33, moved);
    break;
  }
  ExpectRefused(trace);
}

TEST(ServerTrace, TwoCompletionsOfOneConnectionSwappedAreRefused) {
  ServerTrace trace = LinuxTrace();
  const Place place = FindPair(trace, /*of_one=*/true);
  std::swap(place.completion(), place.enter->completions[place.index + 1]);
  ExpectRefused(trace);
}

TEST(ServerTrace, TwoCompletionsOfTwoConnectionsSwappedAreRefused) {
  ServerTrace trace = LinuxTrace();
  // Their buffers with them: the first buffer is handed out second.
  const Place place = FindPair(trace, /*of_one=*/false);
  std::swap(place.completion(), place.enter->completions[place.index + 1]);
  ExpectRefused(trace, "buffer");
}

TEST(ServerTrace, TaskWorkBeforeTheBatchIsRefused) {  // Fact V5.
  ServerTrace trace = LinuxTrace();
  const Place place = FindPlace(trace, [](const Place& it) {
    return it.completion().result == -ENOENT && it.enter->completions.size() > it.index + 1;
  });
  std::swap(place.completion(), place.enter->completions[place.index + 1]);
  ExpectRefused(trace);
}

TEST(ServerTrace, APromiseOfMoreThatIsNotKeptIsRefused) {  // Fact M2.
  ServerTrace trace = LinuxTrace();
  const Place place = FindPlace(trace, [](const Place& it) {
    return HasBuffer(it.completion()) &&
           (it.completion().flags & IORING_CQE_F_SOCK_NONEMPTY) == 0 &&
           it.enter->completions.size() > it.index + 1;
  });
  place.completion().flags |= IORING_CQE_F_SOCK_NONEMPTY;
  ExpectRefused(trace);
}

TEST(ServerTrace, AChangedByteOfAStreamIsRefused) {
  ServerTrace trace = LinuxTrace();
  const Place received =
      FindPlace(trace, [](const Place& it) { return HasBuffer(it.completion()); });
  received.completion().payload.content[0] ^= 1;
  ExpectRefused(trace, "the stream that it received");

  trace = LinuxTrace();
  for (TraceEvent& event : trace.events) {
    auto* const enter = std::get_if<TracedEnter>(&event);
    if (enter == nullptr || enter->submissions.empty()) continue;
    TracedSubmission& sent = enter->submissions.front();
    if (sent.payload.content.empty()) continue;
    sent.payload.content[0] ^= 1;
    break;
  }
  ExpectRefused(trace, "changed while they were sent");

  trace = LinuxTrace();
  ASSERT_FALSE(trace.streams.empty());
  trace.streams.front().sent.Append("?");
  ExpectRefused(trace, "the stream that it sent");
}

TEST(ServerTrace, APublicationThatIsMissingIsRefused) {
  ServerTrace trace = LinuxTrace();
  const auto second = [&, seen = 0](const TraceEvent& event) mutable {
    return std::holds_alternative<TracedPublication>(event) && ++seen == 2;
  };
  const auto found = std::find_if(trace.events.begin(), trace.events.end(), second);
  ASSERT_NE(found, trace.events.end());
  trace.events.erase(found);
  ExpectRefused(trace);
}

TEST(ServerTrace, ABufferPublishedTwiceIsRefused) {
  ServerTrace trace = LinuxTrace();
  for (TraceEvent& event : trace.events) {
    auto* const publication = std::get_if<TracedPublication>(&event);
    if (publication == nullptr || publication->buffers.size() < 2) continue;
    publication->buffers[1] = publication->buffers[0];
    break;
  }
  ExpectRefused(trace, "provided-buffer-published-twice");
}

// --- The file

TEST(ServerTraceFile, AFileThatWasCutOffIsNotRead) {
  const std::vector<std::byte>& file = LinuxFile();
  for (size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_FALSE(ParseTrace(std::span(file).first(bytes)).has_value()) << bytes;
  }
}

TEST(ServerTraceFile, AnotherFileOrVersionIsNotRead) {
  std::vector<std::byte> file = LinuxFile();
  file[8] = std::byte{2};
  EXPECT_EQ(ParseTrace(file).error(), "version 2 of the format; only version 1 is known");
  file[0] = std::byte{'x'};
  EXPECT_EQ(ParseTrace(file).error(), "this is not a trace of a ring");
  EXPECT_EQ(ReadTrace("/no/such/file").error(), "it cannot be opened");
}

TEST(ServerTraceFile, WhatIsWrittenIsReadAgain) {
  // Written once more it is the same file.
  const ServerTrace trace = LinuxTrace();
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const int copy = ::dup(::fileno(file));
  TraceWriter writer(::fdopen(copy, "wb"));
  for (const TraceEvent& event : trace.events) writer.Write(event);
  ASSERT_TRUE(writer.Close(trace.streams));
  std::vector<std::byte> bytes(LinuxFile().size() + 1);
  std::rewind(file);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file));
  std::fclose(file);
  EXPECT_EQ(bytes, LinuxFile());
}

TEST(ServerTraceFile, AFileThatCannotBeWrittenIsReported) {
  TraceWriter writer(nullptr);
  writer.Write(TraceEvent(TracedClose{.descriptor = 3}));
  EXPECT_FALSE(writer.Close({}));
  TraceWriter full(std::fopen("/dev/full", "wb"));
  EXPECT_FALSE(full.Close({}));
}

TEST(ServerTraceFile, TheHashOfAStreamIsThatOfItsPieces) {
  StreamHash whole;
  whole.Append("some bytes and more");
  StreamHash first;
  first.Append("some bytes");
  StreamHash second;
  second.Append(" and more");
  first.Append(second);
  EXPECT_EQ(first, whole);
  StreamHash other;
  other.Append("some bytes and mors");
  EXPECT_FALSE(other == whole);
}

// --- Broken kernels and broken models

class BrokenRule : public testing::TestWithParam<model::Defect> {};

TEST_P(BrokenRule, IsFoundInAKernelThatHasIt) { ExpectRefused(RecordOnModel(GetParam())); }

TEST_P(BrokenRule, IsFoundInAModelThatHasIt) {
  const TraceVerdict verdict = ExplainServerTrace(LinuxTrace(), {.defect = GetParam()});
  EXPECT_EQ(verdict.kind, Kind::kRefused);
}

INSTANTIATE_TEST_SUITE_P(, BrokenRule,
                         testing::Values(model::Defect::kDropEnobufs,
                                         model::Defect::kCancelAlwaysWins,
                                         model::Defect::kCloseEndsReceive));

// --- What is neither

TEST(ServerTrace, WithoutBudgetNothingIsAccepted) {
  const TraceVerdict verdict = ExplainServerTrace(LinuxTrace(), {.steps_per_completion_max = 1});
  EXPECT_EQ(verdict.kind, Kind::kOutOfBudget) << verdict.steps;
}

TEST(ServerTrace, WhatTheAcceptorDoesNotKnowIsNeitherAcceptedNorRefused) {
  ServerTrace trace = LinuxTrace();
  for (TraceEvent& event : trace.events) {
    if (auto* const enter = std::get_if<TracedEnter>(&event)) {
      enter->submissions.front().sqe.opcode = IORING_OP_TEE;
      break;
    }
  }
  EXPECT_EQ(ExplainServerTrace(trace, {}).kind, Kind::kUnsupported);

  trace = LinuxTrace();
  for (TraceEvent& event : trace.events) {
    if (auto* const ring = std::get_if<TracedRing>(&event)) ring->flags = 0;
  }
  EXPECT_EQ(ExplainServerTrace(trace, {}).kind, Kind::kUnsupported);
}

}  // namespace
}  // namespace orrery::acceptor
