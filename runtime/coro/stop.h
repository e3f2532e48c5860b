// Asking tasks to end early: a StopSource is asked once, and everybody who listens is told once.
//
// A request is not an end. A task that waits for the kernel goes on to wait until the kernel has
// let go of its memory, gets ECANCELED or the result that was faster, and ends by returning as
// always. Nothing is destroyed from outside.
//
// Why not std::stop_source: it allocates, and counts and locks for threads; here everything is one
// thread's, and listeners are links in a list. (docs/decisions tells more.)
//
// Invariant: a listener is in the list of at most one source, and is told while it is in it.
#pragma once

#include "base/check.h"
#include "base/intrusive_list.h"

namespace orrery::coro {

class StopSource;

// Told when a stop is requested. It makes ready, cancels, or passes on; it resumes nothing and
// destroys nothing, because the one who asks is in the middle of its list.
class StopListener {
 public:
  StopListener(const StopListener&) = delete;
  StopListener& operator=(const StopListener&) = delete;

 protected:
  StopListener() = default;
  // REQUIRES: it does not listen.
  virtual ~StopListener() = default;

  // Listens to `source` from now on; null is a source that is never asked. REQUIRES: it does not
  // listen, and the source has not been asked.
  inline void Listen(StopSource* source);
  // Does not listen any more, if it did.
  inline void EndListening();

 private:
  friend class StopSource;

  // Called at most once; it does not listen any more.
  virtual void OnStop() = 0;

  ListLink link_;
  StopSource* source_ = nullptr;
};

class StopSource {
 public:
  StopSource() = default;
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;
  ~StopSource() { ORRERY_CHECK_MSG(listeners_.empty(), "destroyed while somebody listened"); }

  // Tells everybody who listens, in the order in which they began. Again, nothing happens.
  void RequestStop() {
    requested_ = true;
    while (StopListener* const listener = listeners_.PopFront()) {
      listener->source_ = nullptr;
      listener->OnStop();
    }
  }
  bool stop_requested() const { return requested_; }

 private:
  friend class StopListener;
  IntrusiveList<StopListener, &StopListener::link_> listeners_;
  bool requested_ = false;
};

inline void StopListener::Listen(StopSource* source) {
  ORRERY_CHECK(source_ == nullptr);
  if (source == nullptr) return;
  ORRERY_CHECK(!source->requested_);
  source_ = source;
  source->listeners_.PushBack(*this);
}

inline void StopListener::EndListening() {
  if (source_ == nullptr) return;
  source_->listeners_.Remove(*this);
  source_ = nullptr;
}

}  // namespace orrery::coro
