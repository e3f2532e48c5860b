// orrery-server, the program: the server on the Linux that it is started on.

#include "runtime/ring/linux_kernel.h"
#include "server/main.h"

namespace {

class LinuxHost final : public orrery::server::Host {
 public:
  std::expected<orrery::Kernel*, std::string> Open() override { return &kernel_; }

 private:
  orrery::LinuxKernel kernel_;
};

}  // namespace

int main(int argc, char** argv) {
  LinuxHost host;
  return orrery::server::Main(argc, argv, host);
}
