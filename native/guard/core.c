/* Decides which handlers get an entry, and what callers are told about them.
 *
 * The kernel holds an entry's address as the handler of a signal, and this address alone
 * identifies the real handler. So there is no table to keep consistent with the kernel's, and no
 * lock. Code that exchanges an action gets the previous one from the kernel, and finds in it
 * what its owner had set. */
#define _GNU_SOURCE
#include "core.h"

#ifdef __linux__

#include <sys/syscall.h>

#include "action.h"

enum { TRIES = 8 };

static bool blocks_everything(const GuardAction *action) {
  return (action->mask & GUARD_EVERY) == GUARD_EVERY;
}

GUARD_ONCE bool guard_exchange(int signal, const GuardAction *put, GuardAction *was) {
  return guard_syscall4(SYS_rt_sigaction, signal, (long)put, (long)was, sizeof was->mask) == 0;
}

static bool same(const GuardAction *first, const GuardAction *second) {
  return first->handler == second->handler && first->flags == second->flags &&
         first->mask == second->mask;
}

bool guard_prepare(void) {
  guard_find_program();
  guard_prepare_sharing();
  return guard_prepare_stacks();
}

/* A fault handler with SA_RESETHAND. It may return, so that the next fault ends the process. Go
 * calls such a handler as a function. The kernel then resets nothing, and without an entry Go
 * would call it for ever. */
static bool is_for_once(int signal, const GuardAction *action) {
  return GUARD_FAULTS & GUARD_BIT(signal) && guard_is_function(action->handler) &&
         action->flags & SA_RESETHAND;
}

bool guard_reset_fault(int signal) {
  if (!(GUARD_FAULTS & GUARD_BIT(signal))) return false;
  guard_exchange(signal, &(GuardAction){.handler = (uint64_t)SIG_DFL}, NULL);
  return true;
}

/* A handler that was written for the stack that it interrupts. A handler of the program also
 * gets the interrupted registers. One of a library, such as a garbage collector's, may look at
 * the stack only, of which it takes the address of a variable as the end. */
static bool needs_stack(int signal, const GuardAction *action) {
  return !(GUARD_NEVER & GUARD_BIT(signal)) && guard_is_function(action->handler) &&
         !(action->flags & SA_ONSTACK) &&
         (action->flags & SA_SIGINFO || !guard_in_program(action->handler));
}

static bool needs_entry(int signal, const GuardAction *action) {
  return needs_stack(signal, action) || is_for_once(signal, action);
}

/* What the guard installs for `owner`; false leaves the action unchanged. */
static bool behind_entry(int signal, const GuardAction *owner, GuardAction *put) {
  const GuardSlot *slot = guard_slot_for(owner);
  if (slot == NULL) return false;
  *put = *owner;
  put->handler = guard_entry_of(slot);
  if (!(GUARD_FAULTS & GUARD_BIT(signal))) put->flags |= SA_ONSTACK | SA_SIGINFO;
  return true;
}

static void to_libc(const GuardAction *source, struct sigaction *action) {
  guard_show(&(GuardSlot){.handler = source->handler, .flags = source->flags, .mask = source->mask},
             action);
}

static void show_owner(int signal, struct sigaction *action) {
  const GuardSlot *slot = guard_slot_of((uint64_t)(uintptr_t)action->sa_handler);
  if (slot != NULL) guard_show(guard_visible(signal, slot), action);
}

/* A caller (Go) read a handler that has an entry, and writes it back with SA_ONSTACK. */
static bool adds_flag(GuardSigaction *real, int signal, const GuardAction *action) {
  struct sigaction now;
  if (!(action->flags & SA_ONSTACK) || !guard_is_function(action->handler)) return false;
  if (real(signal, NULL, &now) != 0) return false;
  const GuardSlot *slot = guard_slot_of((uint64_t)(uintptr_t)now.sa_handler);
  return slot != NULL && slot->handler == action->handler;
}

int guard_sigaction(GuardSigaction *real, const void *caller, int signal,
                    const struct sigaction *act, struct sigaction *old) {
  if (signal < 1 || signal > GUARD_SIGNALS) return real(signal, act, old);
  bool by_program = guard_in_program((uintptr_t)caller);
  if (act != NULL && !by_program && guard_share(signal, act, old)) return 0;
  struct sigaction put;
  const struct sigaction *action = act;
  if (act != NULL) {
    GuardAction requested = guard_from_libc(act), entry;
    if ((needs_entry(signal, &requested) || adds_flag(real, signal, &requested)) &&
        guard_slot_of(requested.handler) == NULL && behind_entry(signal, &requested, &entry)) {
      put = *act;
      to_libc(&entry, &put);
      action = &put;
    }
  }
  int result = real(signal, action, old);
  /* A runtime that takes over a fault chains to the address that it was told, so report the
   * entry. */
  if (result == 0 && old != NULL && !(GUARD_FAULTS & GUARD_BIT(signal))) show_owner(signal, old);
  if (result == 0 && act != NULL && by_program) guard_keep(signal);
  return result;
}

/* Go's own handlers show that a Go runtime is there. It sets the one of SIGFPE before it adds a
 * flag to any handler that is guarded. */
static bool go_is_here(void) {
  static const int go_signals[] = {SIGFPE, SIGURG};
  for (unsigned each = 0; each < 2; each++) {
    GuardAction now;
    if (guard_exchange(go_signals[each], NULL, &now) && guard_is_function(now.handler) &&
        now.flags & SA_ONSTACK && blocks_everything(&now)) {
      return true;
    }
  }
  return false;
}

/* Once a Go runtime is there, every handler has the flag. The handlers that Go added it to are
 * the program's own. Unlike Go's they do not block every signal. */
static bool got_flag_from_go(int signal, const GuardAction *action) {
  return !(GUARD_NEVER & GUARD_BIT(signal)) && guard_is_function(action->handler) &&
         action->flags & SA_SIGINFO && action->flags & SA_ONSTACK && !blocks_everything(action) &&
         guard_in_program(action->handler) && go_is_here();
}

/* Whether this guard must replace the entry: one of an older guard, which cannot share. */
static bool is_older(int signal, const GuardSlot *slot) {
  return slot->sharers == NULL && !(GUARD_FAULTS & GUARD_BIT(signal));
}

static bool wrap(int signal) {
  GuardAction now, put, was;
  if (guard_restore(signal)) return true;
  for (unsigned each = 0; each < TRIES; each++) {
    if (!guard_exchange(signal, NULL, &now)) return false;
    GuardAction owner = now;
    const GuardSlot *slot = guard_slot_of(now.handler);
    if (slot != NULL) {
      if (!is_older(signal, slot)) {
        guard_note_other(signal, slot);
        return true;
      }
      owner = (GuardAction){slot->handler, slot->flags, now.restorer, slot->mask};
    } else if (!needs_entry(signal, &now) && !got_flag_from_go(signal, &now)) {
      return false;
    }
    if (!behind_entry(signal, &owner, &put)) return slot != NULL;
    put.flags |= now.flags;
    if (!guard_exchange(signal, &put, &was)) return false;
    if (same(&was, &now)) {
      guard_keep(signal);
      return true;
    }
    /* Another thread changed the action in between. Put that one back, and look again. */
    guard_exchange(signal, &was, NULL);
  }
  return false;
}

uint64_t guard_wrap_all(void) {
  uint64_t wrapped = 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    if (wrap(signal)) wrapped |= GUARD_BIT(signal);
  }
  return wrapped & ~GUARD_FAULTS;
}

uint64_t guard_unwrap_all(void) {
  uint64_t unwrapped = 0, flag = go_is_here() ? SA_ONSTACK : 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    GuardAction now, was;
    if (!guard_exchange(signal, NULL, &now) || !guard_own_entry(now.handler)) continue;
    const GuardSlot *slot = guard_visible(signal, guard_slot_of(now.handler));
    /* If Go is here, the flag stays, because a small stack must not get a signal's frame. */
    GuardAction put = {slot->handler, slot->flags | (now.flags & ~(SA_ONSTACK | SA_SIGINFO)),
                       now.restorer, slot->mask};
    if (!(GUARD_FAULTS & GUARD_BIT(signal))) put.flags |= flag;
    guard_forget(signal);
    if (!guard_exchange(signal, &put, &was)) continue;
    if (same(&was, &now)) unwrapped |= GUARD_BIT(signal);
    else guard_exchange(signal, &was, NULL);
  }
  return unwrapped & ~GUARD_FAULTS;
}

uint64_t guard_wrapped(uint64_t *foreign) {
  uint64_t own = 0;
  *foreign = 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    GuardAction now;
    if (!guard_exchange(signal, NULL, &now) || guard_slot_of(now.handler) == NULL) continue;
    *(guard_own_entry(now.handler) ? &own : foreign) |= GUARD_BIT(signal) & ~GUARD_FAULTS;
  }
  return own;
}

#endif
