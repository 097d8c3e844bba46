/* A signal's action as the kernel lays it out, exchanged without libc. */
#ifndef GUARD_ACTION_H
#define GUARD_ACTION_H

#ifdef __linux__

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "entry.h"
#include "raw.h"

typedef struct {
  uint64_t handler, flags, restorer, mask;
} GuardAction;

#define GUARD_BIT(signal) (UINT64_C(1) << ((signal) - 1))

/* libc keeps two signals to itself: one cancels a thread, one changes its user. */
#ifdef __GLIBC__
#define GUARD_OF_LIBC (GUARD_BIT(32) | GUARD_BIT(33))
#else /* musl has a third, by which a function runs in every thread */
#define GUARD_OF_LIBC (GUARD_BIT(32) | GUARD_BIT(33) | GUARD_BIT(34))
#endif

/* Go takes these over, and hands on what is none of its own. */
#define GUARD_FAULTS (GUARD_BIT(SIGBUS) | GUARD_BIT(SIGFPE) | GUARD_BIT(SIGSEGV))

/* Handlers of faults, aborts and crashes stay as they are: those want the alternate stack. SIGURG and
 * SIGPROF belong to Go, and JavaScriptCore uses neither. */
#define GUARD_NEVER                                                                   \
  (GUARD_BIT(SIGILL) | GUARD_BIT(SIGTRAP) | GUARD_BIT(SIGABRT) | GUARD_BIT(SIGBUS) |  \
   GUARD_BIT(SIGFPE) | GUARD_BIT(SIGKILL) | GUARD_BIT(SIGSEGV) | GUARD_BIT(SIGSTOP) | \
   GUARD_BIT(SIGURG) | GUARD_BIT(SIGPROF) | GUARD_BIT(SIGSYS) | GUARD_OF_LIBC)

/* False where the kernel refuses. */
GUARD_HIDDEN bool guard_exchange(int signal, const GuardAction *put, GuardAction *was);

/* The first pages are never mapped: what is below them, and SIG_ERR, has a meaning of its own. */
static inline bool guard_is_function(uint64_t handler) {
  return handler >= 1 << 16 && handler != (uint64_t)SIG_ERR;
}

GUARD_HIDDEN GuardAction guard_from_libc(const struct sigaction *action);

/* Writes what a slot holds into *action. */
GUARD_HIDDEN void guard_show(const GuardSlot *slot, struct sigaction *action);

/* Whether the address is an entry of this guard. */
GUARD_HIDDEN bool guard_own_entry(uint64_t handler);

/* The slot that an entry of any guard stands for; NULL for any other handler. */
GUARD_HIDDEN GuardSlot *guard_slot_of(uint64_t handler);

/* The slot that holds the action; NULL once all are taken. */
GUARD_HIDDEN GuardSlot *guard_slot_for(const GuardAction *owner);

/* The entry of a slot of this guard. */
GUARD_HIDDEN uint64_t guard_entry_of(const GuardSlot *slot);

/* Whether the address is in the executable that runs: the runtime's own code, never a library's. */
GUARD_HIDDEN bool guard_in_program(uint64_t address);

/* Called once by guard_prepare. */
GUARD_HIDDEN void guard_find_program(void);
GUARD_HIDDEN void guard_prepare_sharing(void);
GUARD_HIDDEN bool guard_prepare_stacks(void);

/* Notes what the kernel has for the signal now, after the program has set it or the guard has. */
GUARD_HIDDEN void guard_keep(int signal);
GUARD_HIDDEN void guard_forget(int signal);

/* Puts back the entry that guard_keep has noted. False where it has noted none. */
GUARD_HIDDEN bool guard_restore(int signal);

/* Makes the caller, a library, the sharer of a signal that is kept for the program. False where the
 * signal is not, and the kernel is to be asked. */
GUARD_HIDDEN bool guard_share(int signal, const struct sigaction *act, struct sigaction *old);

/* The slot whose action everybody is told: the sharer's, or the owner's. */
GUARD_HIDDEN const GuardSlot *guard_visible(int signal, const GuardSlot *owner);

#endif
#endif
