/* A signal's action in the kernel's layout, exchanged without libc. */
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

/* libc reserves two signals: one cancels a thread, one changes its user. */
#ifdef __GLIBC__
#define GUARD_OF_LIBC (GUARD_BIT(32) | GUARD_BIT(33))
#else /* musl reserves a third, to run a function in every thread. */
#define GUARD_OF_LIBC (GUARD_BIT(32) | GUARD_BIT(33) | GUARD_BIT(34))
#endif

/* The fullest possible mask: the kernel removes two signals, and libc its own. */
#define GUARD_EVERY (~(GUARD_BIT(SIGKILL) | GUARD_BIT(SIGSTOP) | GUARD_OF_LIBC))

/* Go takes over these faults, and passes on those that are not its own. */
#define GUARD_FAULTS (GUARD_BIT(SIGBUS) | GUARD_BIT(SIGFPE) | GUARD_BIT(SIGSEGV))

/* Handlers of faults, aborts and crashes stay unchanged, because they need the alternate stack.
 * SIGURG and SIGPROF belong to Go, and JavaScriptCore uses neither. */
#define GUARD_NEVER                                                                   \
  (GUARD_BIT(SIGILL) | GUARD_BIT(SIGTRAP) | GUARD_BIT(SIGABRT) | GUARD_BIT(SIGBUS) |  \
   GUARD_BIT(SIGFPE) | GUARD_BIT(SIGKILL) | GUARD_BIT(SIGSEGV) | GUARD_BIT(SIGSTOP) | \
   GUARD_BIT(SIGURG) | GUARD_BIT(SIGPROF) | GUARD_BIT(SIGSYS) | GUARD_OF_LIBC)

/* False if the kernel refuses. */
GUARD_HIDDEN bool guard_exchange(int signal, const GuardAction *put, GuardAction *was);

/* The first pages are never mapped, so values below them, and SIG_ERR, have a meaning of their
 * own. */
static inline bool guard_is_function(uint64_t handler) {
  return handler >= 1 << 16 && handler != (uint64_t)SIG_ERR;
}

GUARD_HIDDEN GuardAction guard_from_libc(const struct sigaction *action);

/* Writes the action in a slot to *action. */
GUARD_HIDDEN void guard_show(const GuardSlot *slot, struct sigaction *action);

/* Whether the address is an entry of this guard. */
GUARD_HIDDEN bool guard_own_entry(uint64_t handler);

/* The slot of an entry of any guard; NULL for any other handler. */
GUARD_HIDDEN GuardSlot *guard_slot_of(uint64_t handler);

/* The slot that holds the action; NULL if all slots are taken. */
GUARD_HIDDEN GuardSlot *guard_slot_for(const GuardAction *owner);

/* The entry of a slot of this guard. */
GUARD_HIDDEN uint64_t guard_entry_of(const GuardSlot *slot);

/* Whether the address is in the running executable: the runtime's own code, never a library's. */
GUARD_HIDDEN bool guard_in_program(uint64_t address);

/* Called once by guard_prepare. */
GUARD_HIDDEN void guard_find_program(void);
GUARD_HIDDEN void guard_prepare_sharing(void);
GUARD_HIDDEN bool guard_prepare_stacks(void);

/* Records the kernel's action for the signal, after the program or the guard has set it. */
GUARD_HIDDEN void guard_keep(int signal);
GUARD_HIDDEN void guard_forget(int signal);

/* Restores the entry that guard_keep recorded. False if it recorded none. */
GUARD_HIDDEN bool guard_restore(int signal);

/* Records that the signal has an entry of another guard, which keeps it in place. */
GUARD_HIDDEN void guard_note_other(int signal, const GuardSlot *slot);

/* Makes the caller, a library, the sharer of a signal that the guard keeps for the program.
 * False if the guard does not keep this signal, so that the kernel must decide. */
GUARD_HIDDEN bool guard_share(int signal, const struct sigaction *act, struct sigaction *old);

/* The slot whose action every caller is told: the sharer's, or the owner's. */
GUARD_HIDDEN const GuardSlot *guard_visible(int signal, const GuardSlot *owner);

#endif
#endif
