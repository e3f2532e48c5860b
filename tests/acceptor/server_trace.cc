#include "tests/acceptor/server_trace.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <optional>
#include <sstream>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/errno.h"

namespace orrery::acceptor {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little endian");

constexpr std::string_view kMagic = "orrtrace";
constexpr uint64_t kVersion = 1;
constexpr size_t kFlushBytes = size_t{1} << 20;
// A file that asks for more of something is broken.
constexpr uint64_t kCountMax = uint64_t{1} << 24;

enum class Record : uint8_t {
  kRing = 1,
  kListen,
  kEventFd,
  kClose,
  kRegister,
  kPublish,
  kEnter,
  kStream,
  kEnd,
};

// The hash of a string is its value as a polynomial at kBase, modulo the prime 2^61 - 1.
constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
constexpr uint64_t kBase = 0x15a1'e3b7'94d2'c6f5;

using Wide = unsigned __int128;

// REQUIRES: value < 2^124.
constexpr uint64_t Reduce(Wide value) {
  const uint64_t sum = static_cast<uint64_t>(value & kPrime) + static_cast<uint64_t>(value >> 61);
  const uint64_t rest = (sum & kPrime) + (sum >> 61);
  return rest >= kPrime ? rest - kPrime : rest;
}

constexpr uint64_t Multiply(uint64_t left, uint64_t right) {
  return Reduce(static_cast<Wide>(left) * right);
}

// The first powers of kBase: so many bytes are taken in one step.
constexpr size_t kStepBytes = 8;
constexpr auto kPowers = [] {
  std::array<uint64_t, kStepBytes + 1> powers{1};
  for (size_t index = 1; index < powers.size(); ++index) {
    powers[index] = Multiply(powers[index - 1], kBase);
  }
  return powers;
}();

uint64_t Power(uint64_t exponent) {
  uint64_t result = 1;
  for (uint64_t square = kBase; exponent > 0; exponent >>= 1, square = Multiply(square, square)) {
    if ((exponent & 1) != 0) result = Multiply(result, square);
  }
  return result;
}

// --- Writing

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  void Byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void Unsigned(uint64_t value) {
    for (; value >= 0x80; value >>= 7) Byte(static_cast<uint8_t>(value | 0x80));
    Byte(static_cast<uint8_t>(value));
  }
  void Signed(int64_t value) { Unsigned(Zigzag(value)); }
  void Word(uint64_t value) { out_.append(reinterpret_cast<const char*>(&value), sizeof value); }
  void Payload(const TracePayload& payload) {
    const uint64_t bytes = payload.hash.bytes();
    const bool content = payload.has_content() && bytes > 0;
    Unsigned(bytes << 1 | (content ? 1 : 0));
    if (content) {
      out_ += payload.content;
    } else if (bytes > 0) {
      Word(payload.hash.hash());
    }
  }
  static uint64_t Zigzag(int64_t value) {
    return static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  }

 private:
  std::string& out_;
};

void Encode(Encoder& out, const TracedRing& ring) {
  out.Byte(static_cast<uint8_t>(Record::kRing));
  out.Unsigned(ring.sq_entries);
  out.Unsigned(ring.cq_entries);
  out.Unsigned(ring.flags);
}

void Encode(Encoder& out, const TracedListen& listen) {
  out.Byte(static_cast<uint8_t>(Record::kListen));
  out.Signed(listen.result);
  out.Unsigned(listen.port);
  out.Signed(listen.backlog);
}

void Encode(Encoder& out, const TracedEventFd& eventfd) {
  out.Byte(static_cast<uint8_t>(Record::kEventFd));
  out.Signed(eventfd.result);
}

void Encode(Encoder& out, const TracedClose& close) {
  out.Byte(static_cast<uint8_t>(Record::kClose));
  out.Signed(close.descriptor);
}

void Encode(Encoder& out, const TracedRegister& call) {
  out.Byte(static_cast<uint8_t>(Record::kRegister));
  out.Unsigned(call.opcode);
  out.Signed(call.result);
  out.Unsigned(call.group);
  out.Unsigned(call.entries);
  out.Unsigned(call.flags);
}

void Encode(Encoder& out, const TracedPublication& publication) {
  out.Byte(static_cast<uint8_t>(Record::kPublish));
  out.Unsigned(publication.group);
  out.Unsigned(publication.buffers.size());
  uint64_t address = 0;
  for (const TracedBuffer& buffer : publication.buffers) {
    out.Signed(static_cast<int64_t>(buffer.address - address));
    out.Unsigned(buffer.bytes);
    out.Unsigned(buffer.id);
    address = buffer.address;
  }
}

using SqeWords = std::array<uint64_t, 8>;
static_assert(sizeof(SqeWords) == sizeof(io_uring_sqe));

void Encode(Encoder& out, const TracedSubmission& submission) {
  const auto words = std::bit_cast<SqeWords>(submission.sqe);
  unsigned present = 0;
  for (size_t index = 0; index < words.size(); ++index) {
    if (words[index] != 0) present |= 1U << index;
  }
  out.Byte(static_cast<uint8_t>(present));
  for (const uint64_t word : words) {
    if (word != 0) out.Word(word);
  }
  out.Unsigned(submission.iovecs);
  out.Payload(submission.payload);
}

void Encode(Encoder& out, const TracedCompletion& completion) {
  out.Word(completion.user_data);
  out.Signed(completion.result);
  out.Unsigned(completion.flags);
  out.Payload(completion.payload);
}

void Encode(Encoder& out, const TracedEnter& enter, Nanoseconds last_end) {
  out.Byte(static_cast<uint8_t>(Record::kEnter));
  out.Unsigned(static_cast<uint64_t>(enter.start - last_end));
  out.Unsigned(static_cast<uint64_t>(enter.end - enter.start));
  out.Unsigned(enter.reaped);
  out.Unsigned(enter.to_submit);
  out.Unsigned(enter.min_complete);
  const bool never = enter.deadline == kNever;
  out.Unsigned(never ? 0 : 1 + Encoder::Zigzag(enter.deadline - enter.start));
  out.Unsigned(enter.min_wait_us);
  out.Signed(enter.result);
  out.Unsigned(enter.sq_flags);
  out.Unsigned(enter.submissions.size());
  out.Unsigned(enter.completions.size());
  for (const TracedSubmission& submission : enter.submissions) Encode(out, submission);
  for (const TracedCompletion& completion : enter.completions) Encode(out, completion);
}

// --- Reading. After the first thing that cannot be, everything reads as 0.

class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> bytes) : bytes_(bytes) {}

  bool failed() const { return failed_; }
  bool at_end() const { return position_ == bytes_.size(); }
  size_t position() const { return position_; }
  void Fail() { failed_ = true; }

  std::string_view Take(uint64_t count) {
    if (failed_ || count > bytes_.size() - position_) {
      failed_ = true;
      return {};
    }
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
    position_ += count;
    return {begin, count};
  }
  uint8_t Byte() {
    const std::string_view byte = Take(1);
    return byte.empty() ? 0 : static_cast<uint8_t>(byte[0]);
  }
  uint64_t Unsigned() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = Byte();
      value |= uint64_t{byte & 0x7fU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    failed_ = true;
    return 0;
  }
  int64_t Signed() { return Unzigzag(Unsigned()); }
  static int64_t Unzigzag(uint64_t value) {
    return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
  }
  uint64_t Word() {
    uint64_t value = 0;
    const std::string_view bytes = Take(sizeof value);
    if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  template <typename T>
  T Narrow() {
    const uint64_t value = Unsigned();
    if (!std::in_range<T>(value)) failed_ = true;
    return static_cast<T>(value);
  }
  template <typename T>
  T NarrowSigned() {
    const int64_t value = Signed();
    if (!std::in_range<T>(value)) failed_ = true;
    return static_cast<T>(value);
  }
  // How many of something follow.
  size_t Count() {
    const uint64_t count = Unsigned();
    if (count > kCountMax || count > bytes_.size() - position_) failed_ = true;
    return failed_ ? 0 : count;
  }
  TracePayload Payload() {
    const uint64_t head = Unsigned();
    const uint64_t bytes = head >> 1;
    TracePayload payload;
    if (bytes == 0) return payload;
    if ((head & 1) == 0) {
      payload.hash = StreamHash(bytes, Word());
      return payload;
    }
    payload.content = Take(bytes);
    payload.hash.Append(payload.content);
    return payload;
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  bool failed_ = false;
};

TracedSubmission DecodeSubmission(Decoder& in) {
  TracedSubmission submission;
  const uint8_t present = in.Byte();
  SqeWords words{};
  for (size_t index = 0; index < words.size(); ++index) {
    if ((present >> index & 1) != 0) words[index] = in.Word();
  }
  submission.sqe = std::bit_cast<io_uring_sqe>(words);
  submission.iovecs = in.Unsigned();
  submission.payload = in.Payload();
  return submission;
}

TracedCompletion DecodeCompletion(Decoder& in) {
  TracedCompletion completion;
  completion.user_data = in.Word();
  completion.result = in.NarrowSigned<int32_t>();
  completion.flags = in.Narrow<uint32_t>();
  completion.payload = in.Payload();
  return completion;
}

TracedEnter DecodeEnter(Decoder& in, Nanoseconds last_end) {
  TracedEnter enter;
  enter.start = last_end + static_cast<Nanoseconds>(in.Unsigned());
  enter.end = enter.start + static_cast<Nanoseconds>(in.Unsigned());
  enter.reaped = in.Unsigned();
  enter.to_submit = in.Narrow<unsigned>();
  enter.min_complete = in.Narrow<unsigned>();
  if (const uint64_t deadline = in.Unsigned(); deadline != 0) {
    enter.deadline = enter.start + Decoder::Unzigzag(deadline - 1);
  }
  enter.min_wait_us = in.Narrow<unsigned>();
  enter.result = in.NarrowSigned<int32_t>();
  enter.sq_flags = in.Narrow<uint32_t>();
  const size_t submissions = in.Count();
  const size_t completions = in.Count();
  for (size_t index = 0; index < submissions && !in.failed(); ++index) {
    enter.submissions.push_back(DecodeSubmission(in));
  }
  for (size_t index = 0; index < completions && !in.failed(); ++index) {
    enter.completions.push_back(DecodeCompletion(in));
  }
  return enter;
}

TracedPublication DecodePublication(Decoder& in) {
  TracedPublication publication;
  publication.group = in.Narrow<uint16_t>();
  const size_t count = in.Count();
  uint64_t address = 0;
  for (size_t index = 0; index < count && !in.failed(); ++index) {
    address += static_cast<uint64_t>(in.Signed());
    TracedBuffer buffer{.address = address, .bytes = in.Narrow<uint32_t>(), .id = 0};
    buffer.id = in.Narrow<uint16_t>();
    publication.buffers.push_back(buffer);
  }
  return publication;
}

TracedRegister DecodeRegister(Decoder& in) {
  TracedRegister call;
  call.opcode = in.Narrow<unsigned>();
  call.result = in.NarrowSigned<int32_t>();
  call.group = in.Narrow<uint16_t>();
  call.entries = in.Narrow<unsigned>();
  call.flags = in.Narrow<unsigned>();
  return call;
}

// What all records but the last two are.
std::optional<TraceEvent> DecodeEvent(Decoder& in, Record kind, Nanoseconds last_end) {
  switch (kind) {
    case Record::kRing: {
      TracedRing ring;
      ring.sq_entries = in.Narrow<unsigned>();
      ring.cq_entries = in.Narrow<unsigned>();
      ring.flags = in.Narrow<unsigned>();
      return ring;
    }
    case Record::kListen: {
      TracedListen listen;
      listen.result = in.NarrowSigned<int32_t>();
      listen.port = in.Narrow<uint16_t>();
      listen.backlog = in.NarrowSigned<int32_t>();
      return listen;
    }
    case Record::kEventFd:
      return TracedEventFd{.result = in.NarrowSigned<int32_t>()};
    case Record::kClose:
      return TracedClose{.descriptor = in.NarrowSigned<int32_t>()};
    case Record::kRegister:
      return DecodeRegister(in);
    case Record::kPublish:
      return DecodePublication(in);
    case Record::kEnter:
      return DecodeEnter(in, last_end);
    case Record::kStream:
    case Record::kEnd:
      break;
  }
  return std::nullopt;
}

// --- For a person

std::string Hexadecimal(uint64_t value) {
  std::ostringstream text;
  text << "0x" << std::hex << value;
  return text.str();
}

std::string Result(int64_t result) {
  if (result >= 0) return std::to_string(result);
  return std::to_string(result) + " (" + Errno(static_cast<int>(-result)).ToString() + ")";
}

std::string OpcodeName(uint8_t opcode) {
  switch (opcode) {
    case IORING_OP_NOP:
      return "nop";
    case IORING_OP_ACCEPT:
      return "accept";
    case IORING_OP_RECV:
      return "recv";
    case IORING_OP_SEND:
      return "send";
    case IORING_OP_SENDMSG:
      return "sendmsg";
    case IORING_OP_POLL_ADD:
      return "poll";
    case IORING_OP_ASYNC_CANCEL:
      return "cancel";
    case IORING_OP_SHUTDOWN:
      return "shutdown";
    case IORING_OP_CLOSE:
      return "close";
    default:
      return "opcode " + std::to_string(opcode);
  }
}

// A few bytes of it.
std::string Shown(const TracePayload& payload) {
  constexpr size_t kShownMax = 24;
  if (payload.content.empty()) return "";
  std::string text = ", \"";
  for (const char byte : payload.content.substr(0, kShownMax)) {
    if (byte == '\r') {
      text += "\\r";
    } else if (byte == '\n') {
      text += "\\n";
    } else if (byte >= ' ' && byte <= '~') {
      text += byte;
    } else {
      text += '.';
    }
  }
  return text + (payload.content.size() > kShownMax ? "\"..." : "\"");
}

std::string EnterText(const TracedEnter& enter) {
  std::ostringstream text;
  const auto micros = [](Nanoseconds time) { return static_cast<double>(time) / kMicrosecond; };
  text.setf(std::ios::fixed);
  text.precision(1);
  text << micros(enter.start) << " us  enter  submit " << enter.to_submit << ", wait for "
       << enter.min_complete;
  if (enter.deadline != kNever) text << " for " << micros(enter.deadline - enter.start) << " us";
  text << " -> " << Result(enter.result) << " after " << micros(enter.end - enter.start) << " us";
  if ((enter.sq_flags & IORING_SQ_CQ_OVERFLOW) != 0) text << ", CQ overflow";
  return text.str();
}

// An Enter's SQEs and CQEs. `place`: the one that matters, if `marked`.
void AppendEnter(std::string& text, const TracedEnter& enter, size_t place, bool marked) {
  constexpr size_t kLinesMax = 16;
  const std::string indent = "        ";
  const size_t submissions = enter.submissions.size();
  for (size_t number = 0; number < std::min(submissions, kLinesMax); ++number) {
    text += indent + ToText(enter.submissions[number]) + "\n";
  }
  if (submissions > kLinesMax) {
    text += indent + "and " + std::to_string(submissions - kLinesMax) + " SQEs\n";
  }
  const size_t count = enter.completions.size();
  const size_t begin = marked && place > kLinesMax / 2 ? place - kLinesMax / 2 : 0;
  const size_t end = std::min(count, begin + kLinesMax);
  if (begin > 0) text += indent + std::to_string(begin) + " CQEs, then\n";
  for (size_t number = begin; number < end; ++number) {
    text += (marked && number == place ? ">       " : indent) + ToText(enter.completions[number]) +
            "\n";
  }
  if (count > end) text += indent + "and " + std::to_string(count - end) + " CQEs\n";
}

}  // namespace

// --- Streams

void StreamHash::Append(std::string_view bytes) {
  bytes_ += bytes.size();
  // A byte counts as its value and 1, so that zeros count, too.
  const auto value = [](char byte) { return Wide{static_cast<unsigned char>(byte)} + 1; };
  while (bytes.size() >= kStepBytes) {
    Wide sum = static_cast<Wide>(hash_) * kPowers[kStepBytes];
    for (size_t index = 0; index < kStepBytes; ++index) {
      sum += value(bytes[index]) * kPowers[kStepBytes - 1 - index];
    }
    hash_ = Reduce(sum);
    bytes.remove_prefix(kStepBytes);
  }
  for (const char byte : bytes) hash_ = Reduce(static_cast<Wide>(hash_) * kBase + value(byte));
}

void StreamHash::Append(const StreamHash& piece) {
  hash_ = Multiply(hash_, Power(piece.bytes_)) + piece.hash_;
  if (hash_ >= kPrime) hash_ -= kPrime;
  bytes_ += piece.bytes_;
}

// --- Files

TraceWriter::TraceWriter(std::FILE* file) : file_(file), failed_(file == nullptr) {
  buffer_.append(kMagic);
  Encoder(buffer_).Unsigned(kVersion);
}

TraceWriter::~TraceWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

void TraceWriter::Write(const TraceEvent& event) {
  std::visit(
      [this](const auto& record) {
        if constexpr (std::is_same_v<decltype(record), const TracedEnter&>) {
          Write(record);
        } else {
          Encoder out(buffer_);
          Encode(out, record);
        }
      },
      event);
}

void TraceWriter::Write(const TracedEnter& enter) {
  Encoder out(buffer_);
  Encode(out, enter, last_end_);
  last_end_ = enter.end;
  ++enters_;
  if (buffer_.size() >= kFlushBytes) Flush();
}

void TraceWriter::Flush() {
  if (!failed_ && std::fwrite(buffer_.data(), 1, buffer_.size(), file_) != buffer_.size()) {
    failed_ = true;
  }
  flushed_ += buffer_.size();
  buffer_.clear();
}

bool TraceWriter::Close(const std::vector<TracedStream>& streams) {
  Encoder out(buffer_);
  for (const TracedStream& stream : streams) {
    out.Byte(static_cast<uint8_t>(Record::kStream));
    for (const StreamHash* hash : {&stream.received, &stream.sent}) {
      out.Unsigned(hash->bytes());
      out.Word(hash->hash());
    }
  }
  out.Byte(static_cast<uint8_t>(Record::kEnd));
  out.Unsigned(enters_);
  Flush();
  if (file_ != nullptr && std::fclose(std::exchange(file_, nullptr)) != 0) failed_ = true;
  return !failed_;
}

std::expected<ServerTrace, std::string> ParseTrace(std::span<const std::byte> bytes) {
  Decoder in(bytes);
  if (in.Take(kMagic.size()) != kMagic) return std::unexpected("this is not a trace of a ring");
  if (const uint64_t version = in.Unsigned(); version != kVersion) {
    return std::unexpected("version " + std::to_string(version) + " of the format; only version " +
                           std::to_string(kVersion) + " is known");
  }
  ServerTrace trace;
  uint64_t enters = 0;
  Nanoseconds last_end = 0;
  for (;;) {
    const size_t position = in.position();
    const auto broken = [&](const std::string& what) {
      return std::unexpected(what + " at byte " + std::to_string(position));
    };
    if (in.at_end()) return broken("the trace was cut off: it has no end");
    const auto kind = static_cast<Record>(in.Byte());
    if (kind == Record::kEnd) {
      if (in.Unsigned() != enters || in.failed() || !in.at_end()) return broken("a broken end");
      return trace;
    }
    if (kind == Record::kStream) {
      const auto hash = [&] {
        const uint64_t count = in.Unsigned();
        return StreamHash(count, in.Word());
      };
      const StreamHash received = hash();
      trace.streams.push_back({.received = received, .sent = hash()});
      if (in.failed()) return broken("a broken stream");
      continue;
    }
    std::optional<TraceEvent> event = DecodeEvent(in, kind, last_end);
    if (!event || in.failed()) return broken("a broken record");
    if (const auto* enter = std::get_if<TracedEnter>(&*event)) {
      ++enters;
      last_end = enter->end;
    }
    trace.events.push_back(std::move(*event));
  }
}

std::expected<ServerTrace, std::string> ReadTrace(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             &std::fclose);
  if (file == nullptr) return std::unexpected("it cannot be opened");
  std::vector<std::byte> bytes;
  std::vector<std::byte> block(kFlushBytes);
  while (const size_t count = std::fread(block.data(), 1, block.size(), file.get())) {
    bytes.insert(bytes.end(), block.begin(), block.begin() + static_cast<ptrdiff_t>(count));
  }
  if (std::ferror(file.get()) != 0) return std::unexpected("it cannot be read");
  return ParseTrace(bytes);
}

// --- Text

std::string ToText(const TracedSubmission& submission) {
  const io_uring_sqe& sqe = submission.sqe;
  std::string text = "SQE " + Hexadecimal(sqe.user_data) + " " + OpcodeName(sqe.opcode);
  if (sqe.opcode == IORING_OP_ASYNC_CANCEL) {
    text += " of " + Hexadecimal(sqe.addr);
  } else {
    text += " fd " + std::to_string(sqe.fd);
  }
  if (submission.payload.hash.bytes() > 0) {
    text += ", " + std::to_string(submission.payload.hash.bytes()) + " bytes";
  }
  return text + Shown(submission.payload);
}

std::string ToText(const TracedCompletion& completion) {
  std::string text = "CQE " + Hexadecimal(completion.user_data) + " = " + Result(completion.result);
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    text += ", buffer " + std::to_string(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  }
  if ((completion.flags & IORING_CQE_F_MORE) != 0) text += ", F_MORE";
  if ((completion.flags & IORING_CQE_F_SOCK_NONEMPTY) != 0) text += ", F_SOCK_NONEMPTY";
  return text + Shown(completion.payload);
}

std::string ToText(const TraceEvent& event) {
  if (const auto* ring = std::get_if<TracedRing>(&event)) {
    return "ring of " + std::to_string(ring->sq_entries) + " SQEs and " +
           std::to_string(ring->cq_entries) + " CQEs, flags " + Hexadecimal(ring->flags);
  }
  if (const auto* listen = std::get_if<TracedListen>(&event)) {
    return "listen on port " + std::to_string(listen->port) + " -> " + Result(listen->result);
  }
  if (const auto* eventfd = std::get_if<TracedEventFd>(&event)) {
    return "eventfd -> " + Result(eventfd->result);
  }
  if (const auto* close = std::get_if<TracedClose>(&event)) {
    return "close(" + std::to_string(close->descriptor) + ")";
  }
  if (const auto* call = std::get_if<TracedRegister>(&event)) {
    return "register " + std::to_string(call->opcode) + " -> " + Result(call->result);
  }
  if (const auto* publication = std::get_if<TracedPublication>(&event)) {
    std::string text = "publish " + std::to_string(publication->buffers.size()) +
                       " buffers of group " + std::to_string(publication->group);
    constexpr size_t kShownMax = 16;
    for (size_t index = 0; index < std::min(publication->buffers.size(), kShownMax); ++index) {
      text += (index == 0 ? ": " : " ") + std::to_string(publication->buffers[index].id);
    }
    return text + (publication->buffers.size() > kShownMax ? " ..." : "");
  }
  return EnterText(std::get<TracedEnter>(event));
}

std::string WindowText(const ServerTrace& trace, size_t event, size_t completion) {
  constexpr size_t kBefore = 6;
  constexpr size_t kAfter = 2;
  std::string text;
  const size_t end = std::min(trace.events.size(), event + kAfter);
  for (size_t at = event > kBefore ? event - kBefore : 0; at < end; ++at) {
    text += (at == event ? "> #" : "  #") + std::to_string(at) + " " + ToText(trace.events[at]);
    text += "\n";
    const auto* const enter = std::get_if<TracedEnter>(&trace.events[at]);
    if (enter != nullptr) AppendEnter(text, *enter, completion, at == event);
  }
  return text;
}

}  // namespace orrery::acceptor
