#include "server/push_message.h"

#include <array>

#include "server/number.h"

namespace orrery::server {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

}  // namespace

void PushMessage::AddHeader(char type, size_t count) {
  std::array<char, kIntegerTextMax> digits;
  const size_t length = FormatInteger(static_cast<int64_t>(count), digits);
  text_ += type;
  text_.append(digits.data(), length).append(kLineEnd);
}

void PushMessage::SetPayload(const Payload& payload) {
  payload_ = payload.bytes;
  if (payload_.size() < kBorrowBytesMin) {
    body_ = {};
  } else {
    body_ = payload.body != nullptr ? *payload.body : SharedBytes::Copy(payload_);
  }
}

void PushMessage::Encode(std::initializer_list<std::string_view> parts) {
  text_.clear();
  AddHeader('*', parts.size() + 1);
  for (const std::string_view part : parts) {
    AddHeader('$', part.size());
    text_.append(part).append(kLineEnd);
  }
  AddHeader('$', payload_.size());
  if (body_.empty()) text_.append(payload_).append(kLineEnd);
}

void PushMessage::AppendTo(PendingOutput& output, RespVersion version) {
  text_[0] = version == RespVersion::k3 ? '>' : '*';
  output.Append(text_);
  if (body_.empty()) return;
  output.AppendBody(body_);
  output.Append(kLineEnd);
}

}  // namespace orrery::server
