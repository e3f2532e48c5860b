// What goes on beside the program while it is inside Enter: its peers, and the workers of its ring,
// run on other processors and do not wait for it.
//
// The model runs an Enter in one go. Where the kernel's own code would see what happened meanwhile,
// it asks the bystander, who may then do what a peer may do (ModelKernel's Peer*() and
// SignalEventFd()), run workers (ModelKernel::RunWorker()) and let time pass, nothing else. So
// whoever knows what a real kernel did can lead the model along it. Without a bystander nothing
// happens meanwhile. Called on the thread that drives the model, inside its calls.
#pragma once

#include <liburing.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/units.h"

namespace orrery::model {

class Bystander {
 public:
  virtual ~Bystander() = default;

  // The ring is about to carry out this SQE, which it has just consumed.
  virtual void BeforeOperation(uint64_t ring, const io_uring_sqe& sqe) = 0;
  // A cancel of several has found this one, and is about to cancel it.
  virtual void BeforeVictim(uint64_t ring, uint64_t user_data) {
    (void)ring;
    (void)user_data;
  }
  // The ring is about to take over the task work that has been queued up to now, in an Enter that
  // does not sleep (yet). It runs at most `room` items of it now, and what is queued later only
  // when it looks again; `again` says that this Enter does so whatever comes.
  virtual void BeforeTaskWork(uint64_t ring, unsigned room, bool again) = 0;
  // The ring has taken it over, and is about to run it: what is queued from now on is for later.
  virtual void WithTaskWork(uint64_t ring) { (void)ring; }
  // The thread that sleeps in an Enter has been woken, and is about to run.
  virtual void BeforeWakingUp(uint64_t ring) { (void)ring; }
  // A RECV with buffer selection has taken `bytes` from its connection, and is about to look
  // whether there is more.
  virtual void AfterReceive(uint64_t ring, uint64_t user_data, size_t bytes) = 0;
  // An operation has done what it could, and is about to wait, or, a multishot that was woken, to
  // wait again.
  virtual void BeforeWaiting(uint64_t ring, uint64_t user_data) = 0;
  // A send that finds room for `room` bytes of what it was given: how many it takes. 0, if it has
  // to wait; legal only while `unread` (bytes that the peer has not taken off the connection) is
  // not 0, because nothing else would ever wake it. Linux counts memory, not bytes, so there may
  // be less room than it seems (facts T1, T3).
  virtual size_t SendRoom(uint64_t ring, uint64_t user_data, size_t room, size_t unread) = 0;
  // What the peer of a connection has read makes room for who waits to send: whether Linux says so.
  virtual bool TellsOfSpace(uint64_t connection) {
    (void)connection;
    return true;
  }
  // A zero-copy send has sent something: how long its payload stays in use, if anybody knows.
  virtual std::optional<Nanoseconds> PayloadHeldFor(uint64_t ring, uint64_t user_data) {
    (void)ring;
    (void)user_data;
    return std::nullopt;
  }
  // A worker has begun with this operation, and is about to carry it out.
  virtual void BeforeWork(uint64_t ring, uint64_t user_data) {
    (void)ring;
    (void)user_data;
  }
  // A worker is to run this operation. True: it has to wait for ModelKernel::RunWorker().
  virtual bool HoldsWorker(uint64_t ring, uint64_t user_data) = 0;
};

}  // namespace orrery::model
