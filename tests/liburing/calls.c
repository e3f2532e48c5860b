// See calls.h. One part a subject; each begins with a line that names it.
#define _GNU_SOURCE
#include "calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static FILE *to;

// An answer by its call: results and errors, never descriptors or ports.
#define SAY(call) fprintf(to, "  %s = %lld\n", #call, (long long)(call))
#define SAY_ERRNO(call) \
	do { \
		errno = 0; \
		const long long result = (long long)(call); \
		fprintf(to, "  %s = %lld, errno %d\n", #call, result, errno); \
	} while (0)
#define SAY_WHETHER(condition) fprintf(to, "  %s: %s\n", #condition, (condition) ? "yes" : "no")

static void say_cqes(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;

	io_uring_for_each_cqe(ring, head, cqe) {
		fprintf(to, "  cqe %llu: %d, flags %x\n", (unsigned long long)cqe->user_data, cqe->res,
			cqe->flags & (IORING_CQE_F_MORE | IORING_CQE_F_BUFFER));
		seen++;
	}
	io_uring_cq_advance(ring, seen);
}

static struct io_uring_sqe *nop(struct io_uring *ring, unsigned long long user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data64(sqe, user_data);
	return sqe;
}

static void set_up(void)
{
	struct io_uring ring;
	struct io_uring_params parameters;
	struct io_uring_probe *probe;

	fprintf(to, "set up\n");
	SAY(io_uring_queue_init(0, &ring, 0));
	SAY(io_uring_queue_init(40000, &ring, 0));
	SAY(io_uring_queue_init(8, &ring, IORING_SETUP_DEFER_TASKRUN));
	SAY(io_uring_queue_init(5, &ring, 0));
	SAY(ring.sq.ring_entries);
	SAY(ring.cq.ring_entries);
	SAY(io_uring_sq_space_left(&ring));
	SAY(io_uring_sq_ready(&ring));
	SAY(io_uring_cq_ready(&ring));
	SAY_WHETHER(ring.features & IORING_FEAT_EXT_ARG);
	SAY_WHETHER(ring.enter_ring_fd == ring.ring_fd);
	SAY(io_uring_ring_dontfork(&ring));
	io_uring_queue_exit(&ring);
	memset(&parameters, 0, sizeof(parameters));
	parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
	parameters.cq_entries = 1 << 20;
	SAY(io_uring_queue_init_params(1 << 20, &ring, &parameters));
	SAY(ring.sq.ring_entries);
	SAY(ring.cq.ring_entries);
	SAY(parameters.sq_entries);
	io_uring_queue_exit(&ring);
	probe = io_uring_get_probe();
	SAY_WHETHER(probe != NULL);
	SAY_WHETHER(io_uring_opcode_supported(probe, IORING_OP_SEND_ZC));
	SAY_WHETHER(io_uring_opcode_supported(probe, 200));
	io_uring_free_probe(probe);
	SAY(io_uring_mlock_size(8, 0));
}

static void submit_and_wait(unsigned flags)
{
	struct io_uring ring;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe, *cqes[8];
	struct __kernel_timespec moment = { .tv_nsec = 1000000 }, hour = { .tv_sec = 3600 };
	unsigned i;

	fprintf(to, "submit and wait, flags %x\n", flags);
	SAY(io_uring_queue_init(4, &ring, flags));
	SAY(io_uring_submit(&ring));
	SAY(io_uring_peek_cqe(&ring, &cqe));
	SAY_WHETHER(cqe == NULL);
	SAY(io_uring_peek_batch_cqe(&ring, cqes, 8));
	SAY(io_uring_wait_cqe_timeout(&ring, &cqe, &moment));
	SAY(io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &moment, NULL));
	SAY(io_uring_get_events(&ring));
	for (i = 0; i < 4; i++)
		nop(&ring, i + 1);
	SAY_WHETHER(io_uring_get_sqe(&ring) == NULL);
	SAY(io_uring_sq_ready(&ring));
	SAY(io_uring_submit(&ring));
	SAY(io_uring_peek_batch_cqe(&ring, cqes, 3));
	SAY(cqes[2]->user_data);
	SAY(io_uring_wait_cqe_nr(&ring, &cqe, 4));
	SAY(cqe->user_data);
	SAY(io_uring_wait_cqe_nr(&ring, &cqe, 0));
	io_uring_cqe_seen(&ring, cqe);
	SAY(io_uring_wait_cqes(&ring, &cqe, 3, &moment, NULL));
	SAY(cqe->user_data);
	// One more than will come.
	SAY(io_uring_wait_cqes(&ring, &cqe, 4, &moment, NULL));
	SAY_WHETHER(cqe != NULL);
	say_cqes(&ring);
	nop(&ring, 10);
	nop(&ring, 11);
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	nop(&ring, 12);
	SAY(io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &moment, NULL));
	SAY_WHETHER(cqe != NULL && cqe->user_data == 12);
	say_cqes(&ring);
	nop(&ring, 13);
	SAY(io_uring_submit_and_wait_timeout(&ring, &cqe, 2, &moment, NULL));
	say_cqes(&ring);
	// Nothing has completed: the count of what was submitted hides the timeout, and there is no CQE.
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_timeout(sqe, &hour, 0, 0);
	io_uring_sqe_set_data64(sqe, 15);
	SAY(io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &moment, NULL));
	SAY_WHETHER(cqe == NULL);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_timeout_remove(sqe, 15, 0);
	io_uring_sqe_set_data64(sqe, 16);
	SAY(io_uring_submit_and_wait(&ring, 2));
	say_cqes(&ring);
	nop(&ring, 14);
	SAY(io_uring_submit_and_get_events(&ring));
	say_cqes(&ring);
	// A bad operation ends a submission.
	nop(&ring, 20)->opcode = 250;
	nop(&ring, 21);
	SAY(io_uring_submit(&ring));
	SAY(io_uring_sq_ready(&ring));
	SAY(io_uring_submit(&ring));
	say_cqes(&ring);
	SAY(io_uring_register_ring_fd(&ring));
	SAY(io_uring_register_ring_fd(&ring));
	nop(&ring, 22);
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	SAY(io_uring_unregister_ring_fd(&ring));
	SAY(io_uring_unregister_ring_fd(&ring));
	SAY_WHETHER(ring.enter_ring_fd == ring.ring_fd);
	// A timeout runs by task work: without GETEVENTS a deferred ring does not show it.
	io_uring_prep_timeout(io_uring_get_sqe(&ring), &moment, 0, 0);
	SAY(io_uring_submit(&ring));
	usleep(20000);
	if (flags & IORING_SETUP_DEFER_TASKRUN) {
		SAY(io_uring_peek_cqe(&ring, &cqe));
		SAY(io_uring_submit(&ring));
		SAY(io_uring_cq_ready(&ring));
		SAY(io_uring_get_events(&ring));
	}
	SAY(io_uring_peek_cqe(&ring, &cqe));
	SAY(cqe->res);
	io_uring_cqe_seen(&ring, cqe);
	// The system calls themselves.
	SAY(io_uring_enter(ring.ring_fd, 0, 0, 1 << 30, NULL));
	SAY(io_uring_enter(9999, 0, 0, 0, NULL));
	SAY(io_uring_register(ring.ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0));
	SAY(io_uring_register(9999, IORING_UNREGISTER_BUFFERS, NULL, 0));
	io_uring_queue_exit(&ring);
}

struct pair {
	int listener, client, server;
};

static struct sockaddr_in loopback(uint16_t port)
{
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(port) };

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return name;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t bytes = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &bytes))
		return 0;
	return ntohs(name.sin_port);
}

static struct pair connect_pair(void)
{
	struct pair pair;
	struct sockaddr_in name = loopback(0);
	const int small = 1;

	pair.listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(pair.listener, SOL_SOCKET, SO_REUSEADDR, &small, sizeof(small));
	bind(pair.listener, (struct sockaddr *)&name, sizeof(name));
	listen(pair.listener, 4);
	pair.client = socket(AF_INET, SOCK_STREAM, 0);
	name = loopback(port_of(pair.listener));
	if (connect(pair.client, (struct sockaddr *)&name, sizeof(name)))
		abort();
	pair.server = accept(pair.listener, NULL, NULL);
	return pair;
}

static void close_pair(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
	close(pair->listener);
}

static void sockets(void)
{
	struct pair pair;
	struct sockaddr_in name = loopback(0), peer;
	socklen_t bytes = sizeof(peer);
	char text[16];
	const int one = 1;
	int listener, number;

	fprintf(to, "sockets\n");
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SAY_WHETHER(fcntl(listener, F_GETFL) & O_NONBLOCK);
	SAY_ERRNO(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	SAY_ERRNO(setsockopt(9999, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	SAY_ERRNO(bind(listener, (struct sockaddr *)&name, 3));
	SAY_ERRNO(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	SAY_ERRNO(bind(listener, (struct sockaddr *)&name, sizeof(name)));
	SAY_WHETHER(port_of(listener) != 0);
	SAY_ERRNO(accept(listener, NULL, NULL));
	SAY_ERRNO(listen(listener, 4));
	SAY_ERRNO(accept(listener, NULL, NULL));
	SAY_ERRNO(accept4(listener, NULL, NULL, 1 << 30));
	SAY_ERRNO(recv(listener, text, sizeof(text), 0));
	bytes = sizeof(number);
	SAY_ERRNO(getsockopt(listener, SOL_SOCKET, SO_ACCEPTCONN, &number, &bytes));
	SAY(number);
	close(listener);
	SAY_ERRNO(close(listener));
	SAY_ERRNO(listen(listener, 4));

	pair = connect_pair();
	bytes = sizeof(peer);
	SAY_ERRNO(getpeername(pair.client, (struct sockaddr *)&peer, &bytes));
	SAY(bytes);
	SAY_WHETHER(ntohs(peer.sin_port) == port_of(pair.listener));
	SAY_WHETHER(port_of(pair.server) == port_of(pair.listener));
	bytes = sizeof(number);
	SAY_ERRNO(getsockopt(pair.client, SOL_SOCKET, SO_ERROR, &number, &bytes));
	SAY(number);
	SAY_ERRNO(setsockopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)));
	SAY_ERRNO(connect(pair.client, (struct sockaddr *)&peer, sizeof(peer)));
	SAY_ERRNO(recv(pair.server, text, sizeof(text), MSG_DONTWAIT));
	SAY_ERRNO(fcntl(pair.server, F_SETFL, O_NONBLOCK));
	SAY_ERRNO(read(pair.server, text, sizeof(text)));
	SAY_ERRNO(fcntl(pair.server, F_SETFL, 0));
	SAY_ERRNO(send(pair.client, "hello", 5, MSG_NOSIGNAL));
	SAY_ERRNO(recv(pair.server, text, 5, MSG_WAITALL));
	SAY_ERRNO(write(pair.server, "hi", 2));
	SAY_ERRNO(read(pair.client, text, sizeof(text)));
	SAY_ERRNO(shutdown(pair.client, SHUT_WR));
	SAY_ERRNO(send(pair.client, "x", 1, MSG_NOSIGNAL));
	SAY_ERRNO(recv(pair.server, text, sizeof(text), 0));
	SAY_ERRNO(recv(pair.server, text, sizeof(text), 0));
	SAY_ERRNO(shutdown(9999, SHUT_WR));
	SAY_ERRNO(send(9999, "x", 1, 0));
	SAY_ERRNO(read(9999, text, 1));
	SAY_ERRNO(fcntl(9999, F_GETFL));
	close_pair(&pair);

	name = loopback(1); // Nobody listens there.
	number = socket(AF_INET, SOCK_STREAM, 0);
	SAY_ERRNO(send(number, "x", 1, MSG_NOSIGNAL));
	SAY_ERRNO(recv(number, text, 1, 0));
	SAY_ERRNO(connect(number, (struct sockaddr *)&name, sizeof(name)));
	SAY_ERRNO(connect(number, (struct sockaddr *)&name, sizeof(name)));
	SAY_ERRNO(getpeername(number, (struct sockaddr *)&peer, &bytes));
	close(number);
}

static void datagrams(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in name = loopback(0), peer;
	socklen_t bytes = sizeof(peer);
	int number;

	fprintf(to, "datagrams\n");
	SAY_ERRNO(socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
	SAY_ERRNO(getpeername(fd, (struct sockaddr *)&peer, &bytes));
	SAY_WHETHER(port_of(fd) == 0);
	SAY_ERRNO(bind(fd, (struct sockaddr *)&name, sizeof(name)));
	SAY_WHETHER(port_of(fd) != 0);
	SAY_ERRNO(bind(fd, (struct sockaddr *)&name, sizeof(name)));
	SAY_ERRNO(listen(fd, 4));
	SAY_ERRNO(accept(fd, NULL, NULL));
	bytes = sizeof(number);
	SAY_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, &number, &bytes));
	SAY(number);
	name = loopback(9);
	SAY_ERRNO(connect(fd, (struct sockaddr *)&name, sizeof(name)));
	bytes = sizeof(peer);
	SAY_ERRNO(getpeername(fd, (struct sockaddr *)&peer, &bytes));
	SAY(ntohs(peer.sin_port));
	SAY_ERRNO(shutdown(fd, SHUT_RD));
	close(fd);
}

static void eventfds(void)
{
	const int fd = eventfd(2, EFD_NONBLOCK | EFD_CLOEXEC);
	uint64_t count = 0;

	fprintf(to, "eventfds\n");
	SAY_WHETHER(fcntl(fd, F_GETFL) & O_NONBLOCK);
	SAY_ERRNO(read(fd, &count, 4));
	SAY_ERRNO(read(fd, &count, sizeof(count)));
	SAY(count);
	SAY_ERRNO(read(fd, &count, sizeof(count)));
	count = 5;
	SAY_ERRNO(write(fd, &count, sizeof(count)));
	SAY_ERRNO(write(fd, &count, 4));
	SAY_ERRNO(recv(fd, &count, sizeof(count), 0));
	count = UINT64_MAX;
	SAY_ERRNO(write(fd, &count, sizeof(count)));
	SAY_ERRNO(bind(fd, NULL, 0));
	SAY_ERRNO(eventfd(0, 1 << 30));
	close(fd);
}

static void transfers(unsigned flags)
{
	enum { ENTRIES = 4, BYTES = 64 };
	struct io_uring ring;
	struct io_uring_cqe *cqe;
	struct io_uring_buf_reg registration = { .ring_entries = ENTRIES, .bgid = 3 };
	struct io_uring_buf_ring *buffers;
	struct io_uring_sqe *sqe;
	struct iovec parts[1];
	static char memory[ENTRIES][BYTES], fixed[BYTES];
	struct pair pair = connect_pair();
	const int none = -1;
	int fds[3] = { -1, pair.server, -1 }, i;
	void *pages;

	fprintf(to, "transfers, flags %x\n", flags);
	SAY(io_uring_queue_init(8, &ring, flags));
	// Provided buffers.
	if (posix_memalign(&pages, 4096, 4096))
		abort();
	buffers = pages;
	memset(pages, 0, 4096);
	registration.ring_addr = (unsigned long)pages + 8;
	SAY(io_uring_register_buf_ring(&ring, &registration, 0));
	registration.ring_addr = (unsigned long)pages;
	SAY(io_uring_register_buf_ring(&ring, &registration, 0));
	SAY(io_uring_register_buf_ring(&ring, &registration, 0));
	for (i = 0; i < ENTRIES; i++)
		io_uring_buf_ring_add(buffers, memory[i], BYTES, (unsigned short)i,
				      io_uring_buf_ring_mask(ENTRIES), i);
	io_uring_buf_ring_advance(buffers, ENTRIES);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv_multishot(sqe, pair.server, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 3;
	sqe->user_data = 1;
	SAY(io_uring_submit(&ring));
	SAY(send(pair.client, "first", 5, MSG_NOSIGNAL));
	SAY(io_uring_wait_cqe(&ring, &cqe));
	say_cqes(&ring);
	SAY_WHETHER(memcmp(memory[0], "first", 5) == 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_cancel64(sqe, 1, 0);
	sqe->user_data = 2;
	SAY(io_uring_submit_and_wait(&ring, 2));
	say_cqes(&ring);
	SAY(io_uring_unregister_buf_ring(&ring, 3));
	SAY(io_uring_unregister_buf_ring(&ring, 3));
	// Fixed files.
	SAY(io_uring_register_files_update(&ring, 0, fds, 1));
	SAY(io_uring_register_files(&ring, fds, 3));
	SAY(io_uring_register_files(&ring, fds, 3));
	SAY(io_uring_register_files_update(&ring, 0, &pair.client, 1));
	SAY(io_uring_register_files_update(&ring, 3, &pair.client, 1));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, 0, "second", 6, MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = 3;
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	// Fixed buffers.
	parts[0].iov_base = fixed;
	parts[0].iov_len = sizeof(fixed);
	SAY(io_uring_unregister_buffers(&ring));
	SAY(io_uring_register_buffers(&ring, parts, 1));
	SAY(io_uring_register_buffers(&ring, parts, 1));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read_fixed(sqe, 1, fixed, sizeof(fixed), 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	sqe->user_data = 4;
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	SAY_WHETHER(memcmp(fixed, "second", 6) == 0);
	SAY(io_uring_unregister_buffers(&ring));
	SAY(io_uring_register_buffers_sparse(&ring, 2));
	SAY(io_uring_register_buffers_update_tag(&ring, 1, parts, NULL, 1));
	SAY(io_uring_unregister_buffers(&ring));
	SAY(io_uring_register_files_update(&ring, 0, &none, 1));
	SAY(io_uring_unregister_files(&ring));
	SAY(io_uring_unregister_files(&ring));
	SAY(io_uring_register_files_sparse(&ring, 4));
	SAY(io_uring_register_file_alloc_range(&ring, 1, 2));
	SAY(io_uring_register_file_alloc_range(&ring, 3, 2));
	// The end of the stream.
	SAY(shutdown(pair.client, SHUT_WR));
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recv(sqe, pair.server, memory[0], BYTES, 0);
	sqe->user_data = 5;
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	io_uring_queue_exit(&ring);
	close_pair(&pair);
	free(pages);
}

static void notices(unsigned flags)
{
	struct io_uring ring, other;
	struct io_uring_sqe *sqe;
	uint64_t count = 0;
	const int fd = eventfd(0, EFD_NONBLOCK);

	fprintf(to, "notices and messages, flags %x\n", flags);
	SAY(io_uring_queue_init(4, &ring, flags));
	SAY(io_uring_queue_init(4, &other, flags));
	SAY(io_uring_unregister_eventfd(&ring));
	SAY(io_uring_register_eventfd(&ring, fd));
	SAY(io_uring_register_eventfd(&ring, fd));
	SAY_WHETHER(io_uring_cq_eventfd_enabled(&ring));
	nop(&ring, 1);
	nop(&ring, 2);
	SAY(io_uring_submit(&ring));
	SAY(read(fd, &count, sizeof(count)));
	SAY(count);
	SAY(io_uring_cq_eventfd_toggle(&ring, false));
	nop(&ring, 3);
	SAY(io_uring_submit(&ring));
	SAY_ERRNO(read(fd, &count, sizeof(count)));
	SAY(io_uring_unregister_eventfd(&ring));
	say_cqes(&ring);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_msg_ring(sqe, other.ring_fd, 77, 4, 0);
	sqe->user_data = 5;
	SAY(io_uring_submit_and_wait(&ring, 1));
	say_cqes(&ring);
	SAY(io_uring_get_events(&other));
	say_cqes(&other);
	io_uring_queue_exit(&other);
	io_uring_queue_exit(&ring);
	close(fd);
}

static volatile sig_atomic_t handled;
static void on_signal(int number)
{
	handled = number;
}

static void signals(void)
{
	struct sigaction action, old;

	fprintf(to, "signals\n");
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	SAY_ERRNO(sigaction(SIGUSR1, &action, NULL));
	SAY_ERRNO(sigaction(SIGUSR1, NULL, &old));
	SAY_WHETHER(old.sa_handler == on_signal);
	SAY_WHETHER(signal(SIGUSR1, SIG_IGN) == on_signal);
	SAY_WHETHER(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	SAY_ERRNO(sigaction(0, &action, NULL));
	SAY(handled);
}

void make_calls(FILE *out)
{
	to = out;
	set_up();
	submit_and_wait(0);
	submit_and_wait(IORING_SETUP_COOP_TASKRUN);
	submit_and_wait(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	sockets();
	datagrams();
	eventfds();
	transfers(0);
	transfers(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	notices(0);
	notices(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
	signals();
}
