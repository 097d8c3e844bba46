/* The signal guard: keeps JavaScriptCore's thread suspension working next to a Go runtime.
 *
 * Load the library through any foreign function interface, before or after the Go module. Then
 * call GuardInstall(). The library cannot be unloaded.
 *
 * Go makes the suspend handler of JavaScriptCore run on the alternate signal stack, where that
 * handler does nothing. The guard runs the handler on the thread's own stack again. */
#ifndef GO_GUARD_H
#define GO_GUARD_H

#include <stdint.h>

#ifndef GUARD_API
#define GUARD_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
  GUARD_INSTALLED = 0,  /* the guard guards at least one handler */
  GUARD_NOT_YET = 1,    /* GuardInstall was not called yet, or GuardRemove was called since */
  GUARD_NO_HANDLER = 2, /* no handler needs a guard, as in Node and Deno; nothing changed */
  GUARD_BY_ANOTHER = 3, /* another guard in this process guards the handlers already */
  GUARD_PLATFORM = 4,   /* this platform needs no guard (macOS); nothing changed */
  GUARD_NO_STACK = 5,   /* the kernel does not report where stacks are; nothing changed */
  GUARD_LOST = 6        /* a library replaced a guarded handler; see `lost` */
};

/* Every field has 64 bits, so a script can read the record as an array of numbers. */
struct GuardStats {
  uint64_t size;     /* in: the size of the caller's buffer, in bytes */
  uint64_t reason;   /* one of the values above */
  uint64_t signals;  /* bit N-1: this library guards the handler of signal N */
  uint64_t others;   /* bit N-1: another guard in this process does */
  uint64_t moved;    /* signals whose handler the guard moved to the thread's own stack */
  uint64_t direct;   /* … ran there already: the thread has no alternate stack */
  uint64_t foreign;  /* … was not moved: it interrupted a goroutine or a handler */
  uint64_t tight;    /* … was not moved: the thread's own stack is full */
  uint64_t unknown;  /* … was not moved: the guard did not recognise its frame or its stack */
  uint64_t searched; /* threads whose stack the guard looked up, each counted once */
  uint64_t full;     /* handlers without a guard, because all 64 slots are in use */

  /* Bit N-1: a library set a handler for signal N as well. The program gets the signals that it
   * sends to its own threads. The library gets all others. */
  uint64_t shared;

  /* Bit N-1: a library replaced the handler of signal N and bypassed the guard. The guard restores
   * the handler when the program sends the signal next, or in GuardInstall(). It cannot restore a
   * handler that was replaced before the guard was installed. Signals of another guard are
   * included if that guard was there before GuardInstall(). */
  uint64_t lost;
  uint64_t restored; /* handlers that the guard restored after such a replacement */
};

/* Guards every handler that needs a guard, now and whenever the program sets one later. Returns the
 * number of guarded handlers, those of other guards included. Returns 0 if there is nothing to do;
 * GuardStats gives the reason. Returns -1 if the guard cannot work here. It may be called from any
 * thread, any number of times. */
GUARD_API int32_t GuardInstall(void);

/* Restores all handlers, and returns their number. */
GUARD_API int32_t GuardRemove(void);

/* Fills in as many bytes of *stats as its `size` allows. Returns their number, or -1 on an error. */
GUARD_API int32_t GuardStats(struct GuardStats *stats);

/* Returns the version of this interface: 1. It grows if something in this file changes meaning. */
GUARD_API int32_t GuardVersion(void);

#ifdef __cplusplus
}
#endif

#endif
