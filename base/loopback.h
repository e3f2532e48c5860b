// The address of a port of this machine's loopback, 127.0.0.1: for what talks to itself, as tests
// and benchmarks do.
#pragma once

#include <netinet/in.h>

#include <cstdint>

namespace orrery {

inline sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace orrery
