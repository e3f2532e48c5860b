// Who may talk to the server, and what those may do who have not said the password.
//
// As in Redis 7.0 with its default user only: without a password everybody is that user, but in
// protected mode only from this machine. The texts are Redis's.
#pragma once

#include <string_view>

#include "server/client.h"
#include "server/config.h"

namespace orrery::server {

// What a client is told that has yet to say the password, or has said a wrong one.
inline constexpr std::string_view kAuthenticationRequired = "NOAUTH Authentication required.";
inline constexpr std::string_view kWrongPassword =
    "WRONGPASS invalid username-password pair or user is disabled.";

// Whether the client must say the password before anything else.
inline bool MustAuthenticate(const Client& client, const ServerConfig& config) {
  return !client.authenticated && !config.password.empty();
}

// Whether this is a user and its password. How long it takes does not tell in how many bytes a
// wrong password is right.
bool Authenticates(std::string_view user, std::string_view password, const ServerConfig& config);

// What a client is told, as a whole reply, that protected mode keeps out.
std::string_view DeniedReply();

// Whether protected mode may keep anybody out: not when the server can only be reached from this
// machine.
bool MayDeny(const ServerConfig& config);

// Whether a peer of this address ("127.0.0.1:53120", "[::1]:53120") is on this machine.
bool IsLocal(std::string_view address);
// Whether a client's address, "/run/socket:0", is that of a UNIX socket: no TCP client has port 0.
bool IsUnixClient(std::string_view address);

}  // namespace orrery::server
