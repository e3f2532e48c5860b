#include "tests/scenarios/resp_client.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "base/check.h"
#include "tests/scenarios/resp.h"

namespace orrery::scenarios {
namespace {

// After a connect that found the backlog full.
constexpr Nanoseconds kConnectRetry = 1 * kMillisecond;

std::string Encode(const std::vector<std::string>& arguments, Form form) {
  switch (form) {
    case Form::kArray:
      return EncodeArray(arguments);
    case Form::kInlineDouble:
      return EncodeInline(arguments, InlineStyle::kDouble);
    case Form::kInlineSingle:
      return EncodeInline(arguments, InlineStyle::kSingle);
  }
  return {};
}

}  // namespace

RespClient::RespClient(Script script, uint16_t port, Nanoseconds start, model::ModelKernel& kernel,
                       ClientJudge& judge)
    : script_(std::move(script)),
      port_(port),
      kernel_(kernel),
      judge_(judge),
      connect_at_(start + script_.connect_after),
      script_done_(script_.steps.empty()) {}

bool RespClient::Ready(Nanoseconds now) const {
  return WantsConnect(now) || WantsRead(now) || WantsScript(now) || WantsClose(now);
}

bool RespClient::Step(Nanoseconds now) {
  if (WantsConnect(now)) return Connect(now);
  if (WantsClose(now)) {
    CloseNow();
    return true;
  }
  const bool read = WantsRead(now);
  const bool script = WantsScript(now);
  // Turn by turn when both can go on, and the other when one cannot.
  if (read && (!script || !read_last_)) {
    read_last_ = true;
    return Read(now);
  }
  read_last_ = false;
  if (script && Act(now)) return true;
  return read && Read(now);
}

Nanoseconds RespClient::NextAt(Nanoseconds now) const {
  Nanoseconds next = kNever;
  const auto consider = [&next, now](Nanoseconds time) {
    if (time > now) next = std::min(next, time);
  };
  if (state_ == State::kIdle) consider(connect_at_);
  if (state_ == State::kConnected) {
    if (!script_done_ && wait_until_.has_value()) consider(*wait_until_);
    consider(paused_until_);
    if (ended_) consider(close_at_);
  }
  return next;
}

void RespClient::Hurry() {
  hurry_ = true;
  deaf_ = false;
  paused_until_ = 0;
  if (wait_until_.has_value()) wait_until_ = 0;
}

void RespClient::CloseNow() {
  script_done_ = true;
  if (state_ == State::kConnected) {
    judge_.OnGone(peer_);
    kernel_.PeerClose(peer_);
  }
  state_ = State::kClosed;
}

bool RespClient::WantsConnect(Nanoseconds now) const {
  return state_ == State::kIdle && now >= connect_at_;
}

bool RespClient::WantsRead(Nanoseconds now) const {
  if (state_ != State::kConnected || ended_ || deaf_ || now < paused_until_) return false;
  return kernel_.PeerReadable(peer_) > 0 || kernel_.PeerEnded(peer_);
}

bool RespClient::WantsScript(Nanoseconds now) const {
  if (state_ != State::kConnected || script_done_) return false;
  if (wait_until_.has_value()) return now >= *wait_until_;
  if (step().kind == ScriptStep::Kind::kAwait) return !judge_.Outstanding(peer_);
  return true;
}

bool RespClient::WantsClose(Nanoseconds now) const {
  if (state_ != State::kConnected) return false;
  if (ended_) return hurry_ || now >= close_at_;
  return hurry_ && script_done_ && !judge_.Outstanding(peer_) && !judge_.ServerEnds(peer_);
}

bool RespClient::Connect(Nanoseconds now) {
  const auto peer = kernel_.PeerConnect(port_);
  if (!peer && peer.error() == ECONNREFUSED) {
    // The server listens before anybody connects: it has stopped.
    CloseNow();
    return true;
  }
  if (!peer) {
    connect_at_ = now + kConnectRetry;
    return false;
  }
  peer_ = *peer;
  state_ = State::kConnected;
  judge_.OnConnected(peer_, script_.client);
  return true;
}

bool RespClient::Read(Nanoseconds now) {
  std::vector<std::byte> buffer(script_.read_bytes);
  const model::PeerRead read = kernel_.PeerReceive(peer_, buffer);
  received_.append(reinterpret_cast<const char*>(buffer.data()), read.bytes);
  if (read.bytes > 0) ParseReplies();
  if (read.end || read.reset) End(read.reset, now);
  return read.bytes > 0 || read.end || read.reset;
}

void RespClient::ParseReplies() {
  size_t start = 0;
  while (start < received_.size()) {
    const std::string_view rest = std::string_view(received_).substr(start);
    const auto length = ReplyLength(rest);
    if (!length) {
      judge_.OnMalformedReply(peer_, length.error());
      break;
    }
    if (*length == 0) break;
    judge_.OnReply(peer_, rest.substr(0, *length));
    start += *length;
  }
  received_.erase(0, start);
}

void RespClient::End(bool reset, Nanoseconds now) {
  judge_.OnEnd(peer_, reset, received_);
  ended_ = true;
  close_at_ = now + script_.stay;
  if (!reset && script_.stay != 0) return;
  if (!reset) kernel_.PeerClose(peer_);
  script_done_ = true;
  state_ = State::kClosed;
}

bool RespClient::Act(Nanoseconds now) {
  using Kind = ScriptStep::Kind;
  switch (step().kind) {
    case Kind::kSend:
    case Kind::kRaw:
      return Send(now);
    case Kind::kPause:
      if (!hurry_) paused_until_ = now + step().duration;
      NextStep();
      return true;
    case Kind::kWait:
      if (!wait_until_.has_value() && !hurry_) {
        wait_until_ = now + step().duration;
        return true;
      }
      wait_until_.reset();
      NextStep();
      return true;
    case Kind::kAwait:
      NextStep();
      return true;
    case Kind::kHalfClose:
      judge_.OnHalfClosed(peer_);
      kernel_.PeerShutdownWrite(peer_);
      write_broken_ = true;
      NextStep();
      return true;
    case Kind::kDeaf:
      judge_.OnDeaf(peer_);
      deaf_ = !hurry_;
      NextStep();
      return true;
    case Kind::kClose:
      CloseNow();
      return true;
    case Kind::kReset:
      script_done_ = true;
      state_ = State::kClosed;
      judge_.OnGone(peer_);
      kernel_.PeerReset(peer_);
      return true;
  }
  return false;
}

void RespClient::Prepare() {
  prepared_ = true;
  bytes_.clear();
  marks_.clear();
  sent_bytes_ = 0;
  portion_index_ = 0;
  portion_left_ = step().portions.empty() ? SIZE_MAX : step().portions.front();
  if (step().kind == ScriptStep::Kind::kRaw) {
    bytes_ = step().raw.Materialize();
    Unit unit;
    unit.kind = step().error.empty() ? Unit::Kind::kSilent : Unit::Kind::kError;
    unit.error = step().error;
    marks_.push_back({.at = step().error.empty() ? bytes_.size() : 1, .unit = std::move(unit)});
  }
  for (const Command& command : step().commands) {
    Unit unit;
    unit.arguments = Materialize(command);
    bytes_ += Encode(unit.arguments, step().form);
    marks_.push_back({.at = bytes_.size(), .unit = std::move(unit)});
  }
  bytes_.resize(bytes_.size() - std::min<size_t>(step().cut_bytes, bytes_.size()));
}

bool RespClient::Send(Nanoseconds now) {
  if (!prepared_) Prepare();
  wait_until_.reset();
  if (write_broken_ || sent_bytes_ == bytes_.size()) {
    NextStep();
    return true;
  }
  const size_t size = std::min(bytes_.size() - sent_bytes_, portion_left_);
  const auto sent =
      kernel_.PeerSend(peer_, std::as_bytes(std::span(bytes_)).subspan(sent_bytes_, size));
  if (!sent) {
    // What the end of the stream means is judged when it is read.
    write_broken_ = true;
    return true;
  }
  if (*sent == 0) return false;
  sent_bytes_ += *sent;
  portion_left_ -= portion_left_ == SIZE_MAX ? 0 : *sent;
  if (portion_left_ == 0) {
    portion_index_ = (portion_index_ + 1) % step().portions.size();
    portion_left_ = step().portions[portion_index_];
    if (step().duration != 0 && !hurry_) wait_until_ = now + step().duration;
  }
  TellJudge();
  if (sent_bytes_ == bytes_.size()) {
    wait_until_.reset();
    NextStep();
  }
  return true;
}

void RespClient::TellJudge() {
  while (!marks_.empty() && marks_.front().at <= sent_bytes_) {
    judge_.OnSent(peer_, std::move(marks_.front().unit));
    marks_.pop_front();
  }
}

void RespClient::NextStep() {
  prepared_ = false;
  ++step_index_;
  script_done_ = step_index_ == script_.steps.size();
}

}  // namespace orrery::scenarios
