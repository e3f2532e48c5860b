// An echo server on Boost.Asio's epoll reactor, for bench/echo.py: one thread, callbacks, the same
// buffer as examples/echo.h. Not built by Bazel, which knows nothing of Boost. C++17: with
// coroutines the headers of Boost 1.74 lack an include.
#include <array>
#include <boost/asio.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

namespace {

using boost::asio::ip::tcp;

class Session final : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(tcp::socket socket) : socket_(std::move(socket)) {}
  void Read() {
    socket_.async_read_some(
        boost::asio::buffer(buffer_),
        [self = shared_from_this()](boost::system::error_code error, size_t bytes) {
          if (!error) self->Write(bytes);
        });
  }

 private:
  void Write(size_t bytes) {
    boost::asio::async_write(socket_, boost::asio::buffer(buffer_, bytes),
                             [self = shared_from_this()](boost::system::error_code error, size_t) {
                               if (!error) self->Read();
                             });
  }

  tcp::socket socket_;
  std::array<char, 4096> buffer_;
};

void Accept(tcp::acceptor& acceptor) {
  acceptor.async_accept([&acceptor](boost::system::error_code error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket))->Read();
    Accept(acceptor);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 1;
  boost::asio::io_context io(1);
  const auto port = static_cast<unsigned short>(std::atoi(argv[1]));
  tcp::acceptor acceptor(io, {boost::asio::ip::address_v4::loopback(), port});
  Accept(acceptor);
  io.run();
  return 0;
}
