/* An echo server on io_uring, as one writes it with liburing: a multishot accept, receives into
 * provided buffers, sends.
 *
 * A connection has one operation in flight: it receives into whatever buffer the kernel takes,
 * sends that buffer back, returns it, and receives again. Nothing in this file knows that it is
 * ever tested. */
#include "echo_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, BUFFERS = 16, BUFFER_BYTES = 2048, GROUP = 1 };

/* One entry for each connection, one for the accept, one for the signal: the SQ is never full. */
enum { SQ_ENTRIES = 512 };

enum operation { ACCEPT, RECEIVE, SEND, STOP };

struct connection {
	int open;
	int starved;      /* Waits for a buffer. */
	unsigned buffer;  /* What is being sent: */
	unsigned done, length;
};

struct server {
	struct io_uring ring;
	struct io_uring_buf_ring *buffer_ring;
	unsigned char *buffers;
	struct connection connections[CONNECTIONS_MAX]; /* By descriptor. */
	int listener, stopping, accept_paused, connected;
	uint64_t stop_count;
};

static int stop_fd;

static void on_signal(int number)
{
	const uint64_t one = 1;
	const int saved = errno;

	(void)number;
	if (write(stop_fd, &one, sizeof(one)) < 0)
		_exit(1);
	errno = saved;
}

static struct io_uring_sqe *prepare(struct server *server, enum operation operation, int fd)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&server->ring);

	if (!sqe) {
		fprintf(stderr, "the submission queue is full\n");
		abort();
	}
	memset(sqe, 0, sizeof(*sqe));
	sqe->fd = fd;
	sqe->user_data = (uint64_t)operation << 32 | (uint32_t)fd;
	return sqe;
}

static void arm_accept(struct server *server)
{
	struct io_uring_sqe *sqe = prepare(server, ACCEPT, server->listener);
	const uint64_t data = sqe->user_data;

	io_uring_prep_multishot_accept(sqe, server->listener, NULL, NULL, SOCK_CLOEXEC);
	sqe->user_data = data;
}

static void arm_receive(struct server *server, int fd)
{
	struct io_uring_sqe *sqe = prepare(server, RECEIVE, fd);
	const uint64_t data = sqe->user_data;

	io_uring_prep_recv(sqe, fd, NULL, BUFFER_BYTES, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = data;
}

static void arm_send(struct server *server, int fd)
{
	const struct connection *connection = &server->connections[fd];
	struct io_uring_sqe *sqe = prepare(server, SEND, fd);
	const uint64_t data = sqe->user_data;
	unsigned char *bytes = server->buffers + (size_t)connection->buffer * BUFFER_BYTES;

	io_uring_prep_send(sqe, fd, bytes + connection->done, connection->length - connection->done,
			   MSG_NOSIGNAL);
	sqe->user_data = data;
}

static void return_buffer(struct server *server, unsigned buffer)
{
	int fd;

	io_uring_buf_ring_add(server->buffer_ring, server->buffers + (size_t)buffer * BUFFER_BYTES,
			      BUFFER_BYTES, (unsigned short)buffer,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(server->buffer_ring, 1);
	/* Somebody may have waited for it. */
	for (fd = 0; fd < CONNECTIONS_MAX; fd++) {
		if (!server->connections[fd].starved)
			continue;
		server->connections[fd].starved = 0;
		arm_receive(server, fd);
		return;
	}
}

static void end_connection(struct server *server, int fd)
{
	server->connections[fd].open = 0;
	server->connected--;
	close(fd);
	if (server->accept_paused) { /* Now there is a descriptor. */
		server->accept_paused = 0;
		arm_accept(server);
	}
}

static void on_accept(struct server *server, const struct io_uring_cqe *cqe)
{
	const int fd = cqe->res;

	if (fd >= CONNECTIONS_MAX) {
		close(fd);
	} else if (fd >= 0) {
		memset(&server->connections[fd], 0, sizeof(server->connections[fd]));
		server->connections[fd].open = 1;
		server->connected++;
		arm_receive(server, fd);
	}
	if (cqe->flags & IORING_CQE_F_MORE)
		return;
	if (fd < 0 && server->connected > 0)
		server->accept_paused = 1; /* Descriptors have run out. */
	else
		arm_accept(server);
}

static void on_receive(struct server *server, int fd, const struct io_uring_cqe *cqe)
{
	struct connection *connection = &server->connections[fd];

	if (cqe->res == -ENOBUFS) {
		connection->starved = 1;
		return;
	}
	if (cqe->res <= 0) {
		end_connection(server, fd);
		return;
	}
	connection->buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	connection->length = (unsigned)cqe->res;
	connection->done = 0;
	arm_send(server, fd);
}

static void on_send(struct server *server, int fd, const struct io_uring_cqe *cqe)
{
	struct connection *connection = &server->connections[fd];
	const unsigned buffer = connection->buffer;

	if (cqe->res < 0) {
		end_connection(server, fd);
		return_buffer(server, buffer);
		return;
	}
#ifdef ECHO_BUG_SHORT_SEND
	connection->done = connection->length; /* The planted bug: it is not always all. */
#else
	connection->done += (unsigned)cqe->res;
#endif
	if (connection->done < connection->length) {
		arm_send(server, fd);
		return;
	}
	arm_receive(server, fd);
	return_buffer(server, buffer);
}

static void on_completion(struct server *server, const struct io_uring_cqe *cqe)
{
	const int fd = (int)(uint32_t)cqe->user_data;

	switch ((enum operation)(cqe->user_data >> 32)) {
	case ACCEPT:
		on_accept(server, cqe);
		break;
	case RECEIVE:
		on_receive(server, fd, cqe);
		break;
	case SEND:
		on_send(server, fd, cqe);
		break;
	case STOP:
		server->stopping = 1;
		break;
	}
}

static int set_up_buffers(struct server *server)
{
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS, .bgid = GROUP };
	void *memory;
	unsigned buffer;
	int error;

	if (posix_memalign(&memory, 4096, BUFFERS * sizeof(struct io_uring_buf)))
		return -ENOMEM;
	server->buffer_ring = memory;
	io_uring_buf_ring_init(server->buffer_ring);
	registration.ring_addr = (unsigned long)memory;
	error = io_uring_register_buf_ring(&server->ring, &registration, 0);
	if (error)
		return error;
	server->buffers = malloc(BUFFERS * BUFFER_BYTES);
	if (!server->buffers)
		return -ENOMEM;
	for (buffer = 0; buffer < BUFFERS; buffer++)
		return_buffer(server, buffer);
	return 0;
}

static int loop(struct server *server)
{
	while (!server->stopping) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;
		const int error = io_uring_submit_and_wait(&server->ring, 1);

		if (error < 0 && error != -EINTR && error != -EAGAIN && error != -EBUSY)
			return error;
		io_uring_for_each_cqe(&server->ring, head, cqe) {
			on_completion(server, cqe);
			seen++;
		}
		io_uring_cq_advance(&server->ring, seen);
	}
	return 0;
}

int echo_listen(uint16_t port)
{
	const int one = 1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 128)) {
		close(fd);
		return -1;
	}
	return fd;
}

int echo_serve(int listener)
{
	struct server *server = calloc(1, sizeof(*server));
	struct io_uring_sqe *sqe;
	int error, fd;

	if (!server)
		return 1;
	server->listener = listener;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	error = stop_fd < 0 ? -errno : io_uring_queue_init(SQ_ENTRIES, &server->ring, 0);
	if (error) {
		fprintf(stderr, "io_uring: %s\n", strerror(-error));
		free(server);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	error = set_up_buffers(server);
	if (!error) {
		sqe = prepare(server, STOP, stop_fd);
		io_uring_prep_read(sqe, stop_fd, &server->stop_count, sizeof(server->stop_count), 0);
		sqe->user_data = (uint64_t)STOP << 32;
		arm_accept(server);
		error = loop(server);
	}
	if (error)
		fprintf(stderr, "echo: %s\n", strerror(-error));
	for (fd = 0; fd < CONNECTIONS_MAX; fd++)
		if (server->connections[fd].open)
			close(fd);
	io_uring_queue_exit(&server->ring);
	close(stop_fd);
	close(listener);
	free(server->buffer_ring);
	free(server->buffers);
	free(server);
	return error ? 1 : 0;
}
