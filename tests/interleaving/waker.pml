/* The waker of runtime/waker.h for spin(1): two publishers of ITEMS items each and one sleeper, on processors with store
 * buffers. An item's store may stay in its publisher's buffer; a read-modify-write empties the buffer first.
 *
 * Checked: the sleeper never sleeps for ever over an item (an invalid end state), takes every item, and knows when nobody
 * will publish any more. -DBUG=n plants a mistake that spin must find:
 *   1  the sleeper announces its sleep whatever was published since it looked
 *   2  two flags with stores in the buffer instead of one word
 *   3  publish, and then put the item there
 *   4  the last ring, and then disconnect
 */
#ifndef BUG
#define BUG 0
#endif
#define PUBLISHERS 2
#define ITEMS 2

bool item[PUBLISHERS * ITEMS];      /* As the sleeper sees them. */
chan buffer[PUBLISHERS] = [ITEMS] of { byte };

byte sequence;                      /* The word: its sequence, */
bool asleep, disconnected;          /* and its bits. */
bool asleep_in_buffer;              /* BUG 2: the sleeper's store of `asleep`. */
byte rings;                         /* The eventfd. */
byte left = PUBLISHERS;
byte taken;

#define DRAIN(self) do :: buffer[self]?[_] -> buffer[self]?at; item[at] = true :: empty(buffer[self]) -> break od

/* The processor makes stores visible when it likes. */
active proctype Processor() {
  byte at;
end:
  do
  :: atomic { buffer[0]?at -> item[at] = true }
  :: atomic { buffer[1]?at -> item[at] = true }
  :: atomic { asleep_in_buffer -> asleep_in_buffer = false; asleep = true }
  od
}

inline Ring() { atomic { DRAIN(self); rings++ } }

inline Publish() {
#if BUG == 2
  atomic { DRAIN(self); sequence++ }
  if :: asleep -> asleep = false; Ring() :: else fi
#else
  atomic { DRAIN(self); sequence++; saw = asleep }
  if :: saw -> atomic { saw = asleep; asleep = false }; if :: saw -> Ring() :: else fi
     :: else
  fi
#endif
}

proctype Publisher(byte self) {
  byte number, at;
  bool saw;
  do
  :: number < ITEMS ->
#if BUG == 3
     Publish();
#endif
     buffer[self]!(self * ITEMS + number);
#if BUG != 3
     Publish();
#endif
     number++
  :: else -> break
  od;
  atomic { left--; saw = (left == 0) }
  if
  :: saw ->
     /* As a caller that waits for its results: nobody disconnects to rescue what was lost. */
     taken == PUBLISHERS * ITEMS;
#if BUG == 4
     saw = asleep;
     if :: saw -> Ring() :: else fi;
     disconnected = true
#else
     atomic { disconnected = true; saw = asleep }
     if :: saw -> atomic { saw = asleep; asleep = false }; if :: saw -> Ring() :: else fi
        :: else
     fi
#endif
  :: else
  fi
}

proctype Sleeper() {
  byte looked, at;
  bool more, armed;
  bool have[PUBLISHERS * ITEMS];
  do
  :: atomic { looked = sequence; more = !disconnected }
     at = 0;
     do
     :: at < PUBLISHERS * ITEMS ->
        if :: item[at] && !have[at] -> have[at] = true; taken++ :: else fi;
        at++
     :: else -> break
     od;
     if :: !more -> break :: else fi;
#if BUG == 1
     atomic { asleep = true; armed = true }
#elif BUG == 2
     asleep_in_buffer = true;
     armed = (sequence == looked && !disconnected);
     if :: !armed -> atomic { asleep_in_buffer = false; asleep = false } :: else fi;
#else
     atomic { armed = (sequence == looked && more == !disconnected); asleep = armed }
#endif
     if
     :: armed -> atomic { rings > 0 -> rings = 0 }; atomic { asleep_in_buffer = false; asleep = false }
     :: else
     fi
  od;
  assert(taken == PUBLISHERS * ITEMS)
}

init { atomic { run Publisher(0); run Publisher(1); run Sleeper() } }
