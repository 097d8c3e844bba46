/* The guard's core: handlers that were written for the thread's own stack get it back.
 *
 * A Go runtime adds SA_ONSTACK to the handlers that it finds. A handler that compares its own stack
 * pointer with the thread's stack (JavaScriptCore's, which suspends threads) then refuses for ever.
 * The guard keeps the flag, because a signal that interrupts a goroutine must not be put on the
 * goroutine's small stack, and installs an entry of its own in the handler's place. Where the signal
 * interrupted the thread on its own stack, the entry copies the kernel's whole signal frame to where
 * the kernel would have put it without the flag, and jumps to the handler there. The handler returns
 * through rt_sigreturn on the copy: nothing of the guard is left on any stack while it runs, and the
 * alternate stack is free for the next signal. In any other place the handler is called where it is.
 *
 * Linux only; on other systems these do nothing. */
#ifndef GUARD_CORE_H
#define GUARD_CORE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is linked into another library must not be seen from outside it. */
#define GUARD_HIDDEN __attribute__((visibility("hidden")))

/* Once in the library and not once a caller, as it has to stay small. */
#define GUARD_ONCE __attribute__((noinline))

enum { GUARD_SIGNALS = 64 };

typedef int GuardSigaction(int, const struct sigaction *, struct sigaction *);

/* Learns what the guard has to know of the process. Call it once, from no handler, before anything else
 * here; again does no harm. False where the guard cannot work. */
GUARD_HIDDEN bool guard_prepare(void);

/* Does for its caller what `real` (sigaction of libc, or of whoever stands in for it) does, with the
 * guard between: a handler that needs its thread's own stack is installed behind an entry, and what
 * the caller is told of the old action is what the owner of that handler had asked for, but for faults,
 * of which it is told the entry. A library's action for a signal that the guard keeps for the program
 * makes the library its sharer (share.c). `caller` is the address that the call returns to.
 * Async-signal-safe, as sigaction is. */
GUARD_HIDDEN int guard_sigaction(GuardSigaction *real, const void *caller, int signal,
                                 const struct sigaction *act, struct sigaction *old);

/* Looks at all signals and puts an entry before each handler that needs one. Returns the signals
 * (bit N-1 for signal N) that have an entry now, another guard's included. */
GUARD_HIDDEN uint64_t guard_wrap_all(void);

/* Puts the handlers back as they would be without the guard. Returns the signals put back. */
GUARD_HIDDEN uint64_t guard_unwrap_all(void);

/* The signals that have an entry of this guard, and those that have one of another guard. */
GUARD_HIDDEN uint64_t guard_wrapped(uint64_t *foreign);

/* To be called before the program sends a signal to one of its threads: puts the entry back if a
 * library has removed it. */
GUARD_HIDDEN void guard_before_send(int signal);

/* The signals that the program shares with a library, and those whose handler it lost to one. */
GUARD_HIDDEN uint64_t guard_shared(uint64_t *lost);

/* Has every loaded object call `mine` where it calls `theirs` by the name sigaction, or the reverse. */
GUARD_HIDDEN void guard_hook(GuardSigaction *theirs, GuardSigaction *mine);

/* A function of a library, which the program calls through `mine` from now on. */
typedef struct {
  const char *name;
  void *mine;
  void *real;   /* what the program would call; NULL where it does not call it */
  void *linker; /* the same, before the linker has looked for the function */
  void **place; /* where the linker will put the function's address when it is first called */
} GuardProgramHook;

/* Has the program call hook->mine. It does so as long as it runs: another guard may have hooked on top. */
GUARD_HIDDEN void guard_hook_program(GuardProgramHook *hook);

/* To be called after a call of hook->real: hooks again where the linker has found the function. */
GUARD_HIDDEN void guard_stay_hooked(GuardProgramHook *hook);

/* Watches the signals that the program sends to its threads. */
GUARD_HIDDEN void guard_watch_sends(void);

/* What became of signals so far; each only ever grows. */
typedef struct {
  uint64_t moved;    /* handler ran on the thread's own stack, to which the frame was moved */
  uint64_t direct;   /* the kernel had put the frame there: the thread has no alternate stack */
  uint64_t foreign;  /* interrupted on a goroutine's or on the alternate stack: called there */
  uint64_t tight;    /* called there because the own stack had no room left */
  uint64_t unknown;  /* called there because frame or stack was not understood */
  uint64_t searched; /* threads whose stack was looked up */
  uint64_t full;     /* handlers left alone because all entries were taken */
  uint64_t restored; /* entries put back that a library had replaced */
} GuardCounts;

extern GUARD_HIDDEN GuardCounts guard_counts;

#endif
