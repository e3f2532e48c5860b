#include "server/authentication.h"

#include <cstddef>

namespace orrery::server {
namespace {

constexpr std::string_view kUser = "default";

// Looks at every byte of `given`, whatever it finds.
bool EqualsInConstantTime(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (size_t i = 0; i < given.size(); ++i) {
    const char expected = secret.empty() ? '\0' : secret[i % secret.size()];
    difference |= static_cast<unsigned char>(given[i] ^ expected);
  }
  return difference == 0;
}

}  // namespace

bool Authenticates(std::string_view user, std::string_view password, const ServerConfig& config) {
  if (user != kUser) return false;
  return config.password.empty() || EqualsInConstantTime(password, config.password);
}

std::string_view DeniedReply() {
  return "-DENIED Redis is running in protected mode because protected mode is enabled and no "
         "password is set for the default user. In this mode connections are only accepted from "
         "the loopback interface. If you want to connect from external computers to Redis you may "
         "adopt one of the following solutions: 1) Just disable protected mode sending the command "
         "'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from "
         "the same host the server is running, however MAKE SURE Redis is not publicly accessible "
         "from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) "
         "Alternatively you can just disable the protected mode by editing the Redis configuration "
         "file, and setting the protected mode option to 'no', and then restarting the server. 3) "
         "If you started the server manually just for testing, restart it with the "
         "'--protected-mode no' option. 4) Setup a an authentication password for the default "
         "user. NOTE: You only need to do one of the above things in order for the server to start "
         "accepting connections from the outside.\r\n";
}

bool MayDeny(const ServerConfig& config) {
  return config.protected_mode && config.password.empty() && !IsLocal(config.bind);
}

bool IsLocal(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]") || address == "::1" ||
         address.starts_with("[::ffff:127.");
}

bool IsUnixClient(std::string_view address) { return address.ends_with(":0"); }

}  // namespace orrery::server
