/* The signal guard: keeps JavaScriptCore's thread suspension working next to a Go runtime.
 *
 * Load the library by any foreign function interface, before or after the Go module, and call
 * GuardInstall(). It cannot be unloaded. */
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
  GUARD_INSTALLED = 0,  /* one handler or more is guarded */
  GUARD_NOT_YET = 1,    /* GuardInstall has not been called, or GuardRemove has */
  GUARD_NO_HANDLER = 2, /* no handler needs it (Node, Deno): looked at, nothing done */
  GUARD_BY_ANOTHER = 3, /* another guard in this process has done it already */
  GUARD_PLATFORM = 4,   /* this platform needs none (macOS): nothing done */
  GUARD_NO_STACK = 5,   /* the kernel does not tell where stacks are: nothing done */
  GUARD_LOST = 6        /* the handler of a signal in `lost` is not guarded any more */
};

/* All 64 bits wide, so that a script may read it as an array of numbers. */
struct GuardStats {
  uint64_t size;     /* set by the caller: the bytes it has room for */
  uint64_t reason;   /* one of the above */
  uint64_t signals;  /* bit N-1: the handler of signal N is guarded by this library */
  uint64_t others;   /* bit N-1: … by another guard */
  uint64_t moved;    /* signals whose handler was given the thread's own stack */
  uint64_t direct;   /* … had it from the kernel: the thread has no alternate stack */
  uint64_t foreign;  /* … interrupted a goroutine or a handler, and was called where it was */
  uint64_t tight;    /* … was called where it was, because the thread's own stack is full */
  uint64_t unknown; /* … was called where it was, because its frame or stack was not understood */
  uint64_t searched; /* threads whose stack was looked up, once each */
  uint64_t full; /* handlers left unguarded because all 64 places are taken */
  uint64_t
      shared; /* bit N-1: a library asked for signal N as well; it gets what other processes send,
                        and the program gets what the process sends to its own threads */
  uint64_t
      lost; /* bit N-1: a library replaced the handler of signal N past the guard. It is put back
                        when the program sends the signal next, or by GuardInstall(), unless it was
                        replaced before the guard was installed */
  uint64_t restored; /* handlers put back so */
};

/* Guards every handler that needs it, now and when it is set later. Returns how many are guarded
 * (by another guard included); 0 if there is nothing to do, which GuardStats explains; -1 if it
 * cannot work here. Call it from any thread, any number of times. */
GUARD_API int32_t GuardInstall(void);

/* Puts everything back. Returns how many handlers were. */
GUARD_API int32_t GuardRemove(void);

/* Fills in as much of *stats as its `size` allows. Returns the bytes filled in, or -1. */
GUARD_API int32_t GuardStats(struct GuardStats *stats);

/* 1, until something in this file changes its meaning. */
GUARD_API int32_t GuardVersion(void);

#ifdef __cplusplus
}
#endif

#endif
