// An echo server on io_uring: everybody reads what they sent. One thread.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A listening socket on loopback, or -1; port 0 lets the kernel choose.
int echo_listen(uint16_t port);

// Serves until SIGTERM or SIGINT. What main() returns: 0, or 1 after a message.
int echo_serve(int listener);

#ifdef __cplusplus
}
#endif
