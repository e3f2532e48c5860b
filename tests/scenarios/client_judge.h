// What a simulated client tells, and what it asks: the side of a judge that clients see.
//
// A client's stream is a sequence of units: commands, bytes without an answer, and bytes that end
// the connection with an error. Connections are named by the kernel's PeerId.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace orrery::scenarios {

// What the server sees as one.
struct Unit {
  enum class Kind : uint8_t {
    kCommand,
    kSilent,  // Bytes that are not answered.
    kError,   // Bytes that end the connection with `error`.
  };
  Kind kind = Kind::kCommand;
  std::vector<std::string> arguments;  // kCommand.
  std::string error;                   // kError.
};

class ClientJudge {
 public:
  virtual ~ClientJudge() = default;

  virtual void OnConnected(uint64_t connection, uint64_t client) = 0;
  // All of the unit is in the stream; for an error, its first byte is: the server may answer as
  // soon as it has seen enough.
  virtual void OnSent(uint64_t connection, Unit unit) = 0;
  virtual void OnReply(uint64_t connection, std::string_view reply) = 0;
  virtual void OnMalformedReply(uint64_t connection, std::string_view problem) = 0;
  // The client reads the end of the stream, or a reset; `rest`: bytes that are not a whole reply.
  virtual void OnEnd(uint64_t connection, bool reset, std::string_view rest) = 0;
  virtual void OnHalfClosed(uint64_t connection) = 0;
  // The client stops reading for as long as the server lets it.
  virtual void OnDeaf(uint64_t connection) = 0;
  // The client has closed or reset; it is told nothing more.
  virtual void OnGone(uint64_t connection) = 0;

  // Whether it is to wait for something: an answer to what it sent completely, for one.
  virtual bool Outstanding(uint64_t connection) const = 0;
  // Whether the server has a reason to end the connection, and therefore must.
  virtual bool ServerEnds(uint64_t connection) const = 0;
};

}  // namespace orrery::scenarios
