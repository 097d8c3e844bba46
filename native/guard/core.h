/* The guard's core gives handlers that need the thread's own stack that stack back.
 *
 * A Go runtime adds SA_ONSTACK to the handlers that it finds. JavaScriptCore's handler, which
 * suspends threads, compares its own stack pointer with the thread's stack. On the alternate
 * stack it refuses for ever. The guard keeps the flag, because a signal that interrupts a
 * goroutine must not use the goroutine's small stack. It installs an entry in place of the
 * handler.
 *
 * If the signal interrupted the thread on its own stack, the entry copies the kernel's whole
 * signal frame to where the kernel would have put it without the flag. It then jumps to the
 * handler there. The handler returns through rt_sigreturn on the copy. While it runs, nothing of
 * the guard is on any stack, and the alternate stack is free for the next signal. Everywhere
 * else the entry calls the handler where it is.
 *
 * Linux only; on other systems these functions do nothing. */
#ifndef GUARD_CORE_H
#define GUARD_CORE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Code that is linked into another library must not be visible outside that library. */
#define GUARD_HIDDEN __attribute__((visibility("hidden")))

/* One copy per library instead of one per caller, because the library must stay small. */
#define GUARD_ONCE __attribute__((noinline))

enum { GUARD_SIGNALS = 64 };

typedef int GuardSigaction(int, const struct sigaction *, struct sigaction *);

/* Collects what the guard must know about the process. Call it once before any other function
 * here, and not from a handler; a second call does no harm. False if the guard cannot work. */
GUARD_HIDDEN bool guard_prepare(void);

/* Does for its caller what `real` does: sigaction of libc, or of a library that replaces it. A
 * handler that needs its thread's own stack gets an entry. The caller is told the old action as
 * its owner had set it; only for faults is it told the entry. If a library sets an action for a
 * signal that the guard keeps for the program, the library becomes the sharer of the signal
 * (share.c). `caller` is the return address of the call. Async-signal-safe, like sigaction. */
GUARD_HIDDEN int guard_sigaction(GuardSigaction *real, const void *caller, int signal,
                                 const struct sigaction *act, struct sigaction *old);

/* Examines all signals, and installs an entry for each handler that needs one. Returns the
 * signals (bit N-1 for signal N) that have an entry now, also one of another guard. */
GUARD_HIDDEN uint64_t guard_wrap_all(void);

/* Restores the handlers as they would be without the guard. Returns the restored signals. */
GUARD_HIDDEN uint64_t guard_unwrap_all(void);

/* The signals with an entry of this guard, and those with an entry of another one. */
GUARD_HIDDEN uint64_t guard_wrapped(uint64_t *foreign);

/* Call it before the program sends a signal to one of its threads. It restores the entry if a
 * library has removed it. */
GUARD_HIDDEN void guard_before_send(int signal);

/* The signals that the program shares with a library, and those whose handler a library took. */
GUARD_HIDDEN uint64_t guard_shared(uint64_t *lost);

/* Makes every loaded object call `mine` in place of `theirs` under the name sigaction, or the
 * reverse. */
GUARD_HIDDEN void guard_hook(GuardSigaction *theirs, GuardSigaction *mine);

/* A function of a library. From now on the program calls it through `mine`. */
typedef struct {
  const char *name;
  void *mine;
  void *real;   /* the function that the program would call; NULL if it calls none */
  void *linker; /* the same, before the linker has looked up the function */
  void **place; /* where the linker writes the function's address at the first call */
} GuardProgramHook;

/* Makes the program call hook->mine until it ends, because another guard may have hooked on top. */
GUARD_HIDDEN void guard_hook_program(GuardProgramHook *hook);

/* Call it after a call of hook->real. It hooks again if the linker has looked up the function. */
GUARD_HIDDEN void guard_stay_hooked(GuardProgramHook *hook);

/* Watches the signals that the program sends to its threads. */
GUARD_HIDDEN void guard_watch_sends(void);

/* Whether the program sent the signal that the calling thread handles now. `otherwise` is the
 * answer if the guard cannot watch the program. */
GUARD_HIDDEN bool guard_sent_by_program(int signal, bool otherwise);

/* How signals were handled so far. Each counter only grows. */
typedef struct {
  uint64_t moved;    /* handler ran on the thread's own stack, after the frame was moved there */
  uint64_t direct;   /* the kernel had put the frame there: the thread has no alternate stack */
  uint64_t foreign;  /* interrupted a goroutine's or the alternate stack: called there */
  uint64_t tight;    /* called there because the thread's own stack had no room left */
  uint64_t unknown;  /* called there because the guard did not recognise the frame or the stack */
  uint64_t searched; /* threads whose stack was looked up */
  uint64_t full;     /* handlers left alone because all entries were taken */
  uint64_t restored; /* entries restored after a library had replaced them */
} GuardCounts;

extern GUARD_HIDDEN GuardCounts guard_counts;

#endif
