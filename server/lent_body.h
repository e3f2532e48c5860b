// A value that the reply of another shard has borrowed.
//
// The value's own count stays with its shard. The borrower counts its references to the loan, on
// its own thread; the last one sends the loan home by message, and there the value is let go. So no
// count is atomic. Belongs to the shard of the value.
#pragma once

#include "base/shared_bytes.h"
#include "server/errand.h"

namespace orrery::server {

class Router;

struct LentBody final : Errand, SharedBytes::Loan {
  explicit LentBody(unsigned its_home) : Errand(ErrandKind::kLentBody, its_home) {}

  SharedBytes body;
  // That of the borrower; used by its thread only.
  Router* borrower = nullptr;
  LentBody* next = nullptr;

 private:
  void OnReturned() override;
};

}  // namespace orrery::server
