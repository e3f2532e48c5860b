// The client's side of RESP, written apart from the server's: encoding requests, finding where a
// reply ends.
//
// No state. Nothing here is shared with //server, so that a mistake there is not repeated here.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::scenarios {

// "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".
std::string EncodeArray(const std::vector<std::string>& arguments);

enum class InlineStyle : uint8_t {
  kDouble,  // Double quotes with escapes where needed; ends with CRLF.
  kSingle,  // Single quotes where they can express it; ends with LF alone.
};

// One line, as a person types it. REQUIRES: arguments is not empty, and the first one does not
// begin with '*' once encoded (it is a plain word).
std::string EncodeInline(const std::vector<std::string>& arguments, InlineStyle style);

// The length of the reply that `bytes` begins with; 0 when it is not all there yet. An error when
// no RESP2 or RESP3 reply begins so.
std::expected<size_t, std::string> ReplyLength(std::string_view bytes);

// The elements of an array or of a push; nothing for any other reply.
std::optional<std::vector<std::string>> ElementsOf(std::string_view reply);

// The number in ":42\r\n"; nothing for any other reply.
std::optional<int64_t> IntegerIn(std::string_view reply);

// For messages: control bytes escaped, cut after `bytes_max`.
std::string Printable(std::string_view bytes, size_t bytes_max = 80);

}  // namespace orrery::scenarios
