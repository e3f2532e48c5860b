/* The echo server on this machine: prints its port, and serves until SIGTERM. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "echo_server.h"

int main(int argc, char **argv)
{
	const int listener = echo_listen((uint16_t)(argc > 1 ? atoi(argv[1]) : 0));
	struct sockaddr_in address;
	socklen_t bytes = sizeof(address);

	if (listener < 0 || getsockname(listener, (struct sockaddr *)&address, &bytes)) {
		perror("listen");
		return 1;
	}
	printf("port %u\n", ntohs(address.sin_port));
	fflush(stdout);
	return echo_serve(listener);
}
