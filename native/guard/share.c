/* Signals that both the program and a library use.
 *
 * A library that takes the signal with which the program suspends threads would end all
 * suspensions. Go's os/signal does so in Notify without a list, in Ignore, and in Notify of that
 * signal. The guard keeps its entry in the kernel, and records the library as the sharer of the
 * signal. A signal that the program sends to one of its threads goes to the program. All others
 * go to the sharer, also those that the library sends to stop its own threads.
 *
 * A library may also bypass the guard: by a bare system call, by libc's signal(), or before the
 * guard has seen the library. So the program's pthread_kill checks before each signal whether
 * the entry is still there, and restores it. */
#define _GNU_SOURCE
#include "action.h"

#ifdef __linux__

#include <sys/syscall.h>

GUARD_HIDDEN GuardSlot *guard_sharers[GUARD_SIGNALS];

/* The kernel's action for each signal whose handler is the program's and has an entry of this
 * guard. */
static GuardAction kept[GUARD_SIGNALS];
GUARD_HIDDEN uint64_t guard_kept;

/* For each signal, guard_kept of the other guard whose entry it had. */
static const uint64_t *kept_by_other[GUARD_SIGNALS];

static uint64_t lost_signals;
static long process;

static long this_process(void) { return guard_syscall3(SYS_getpid, 0, 0, 0); }

void guard_prepare_sharing(void) {
  if (process == 0) process = this_process();
}

/* A child of vfork changes its own actions, but shares this memory with its parent. */
static bool in_another_process(void) { return this_process() != process; }

void guard_keep(int signal) {
  GuardAction now;
  if (GUARD_BIT(signal) & GUARD_NEVER || in_another_process()) return;
  if (!guard_exchange(signal, NULL, &now)) return;
  bool keeps =
      guard_own_entry(now.handler) && guard_in_program(guard_slot_of(now.handler)->handler);
  __atomic_fetch_and(&guard_kept, ~GUARD_BIT(signal), __ATOMIC_RELAXED);
  __atomic_store_n(&guard_sharers[signal - 1], NULL, __ATOMIC_RELAXED);
  if (!keeps) return;
  kept[signal - 1] = now;
  __atomic_fetch_or(&guard_kept, GUARD_BIT(signal), __ATOMIC_RELEASE);
  __atomic_fetch_and(&lost_signals, ~GUARD_BIT(signal), __ATOMIC_RELAXED);
}

void guard_forget(int signal) {
  __atomic_fetch_and(&guard_kept, ~GUARD_BIT(signal), __ATOMIC_RELAXED);
  __atomic_store_n(&guard_sharers[signal - 1], NULL, __ATOMIC_RELAXED);
}

/* The library's own action for the signal. NULL if the library has none: it sets the default, or
 * gives the signal back to `owner`. */
static GuardSlot *sharer_of(const GuardAction *action, const GuardSlot *owner) {
  if (action->handler == (uint64_t)SIG_DFL || action->handler == owner->handler) return NULL;
  if (guard_slot_of(action->handler) != NULL) return NULL;
  return guard_slot_for(action);
}

static bool is_kept(int signal) {
  return __atomic_load_n(&guard_kept, __ATOMIC_ACQUIRE) & GUARD_BIT(signal);
}

void guard_note_other(int signal, const GuardSlot *slot) {
  __atomic_store_n(&kept_by_other[signal - 1], slot->kept, __ATOMIC_RELEASE);
}

static bool is_kept_by_other(int signal) {
  const uint64_t *others = __atomic_load_n(&kept_by_other[signal - 1], __ATOMIC_ACQUIRE);
  return others != NULL && __atomic_load_n(others, __ATOMIC_ACQUIRE) & GUARD_BIT(signal);
}

static void take_back(int signal, const GuardAction *current) {
  GuardAction was;
  const GuardSlot *slot = guard_slot_of(current->handler);
  if (slot != NULL && slot->sharers != NULL) return; /* another guard's, which does the same */
  if (guard_in_program(current->handler)) { /* the program set it itself */
    guard_forget(signal);
    return;
  }
  if (!guard_exchange(signal, &kept[signal - 1], &was)) return;
  const GuardSlot *owner = guard_slot_of(kept[signal - 1].handler);
  if (guard_own_entry(was.handler)) return; /* another thread was faster */
  __atomic_store_n(&guard_sharers[signal - 1], sharer_of(&was, owner), __ATOMIC_RELEASE);
  __atomic_fetch_add(&guard_counts.restored, 1, __ATOMIC_RELAXED);
}

bool guard_restore(int signal) {
  GuardAction now;
  if (!is_kept(signal) || !guard_exchange(signal, NULL, &now)) return false;
  if (now.handler != kept[signal - 1].handler) take_back(signal, &now);
  return is_kept(signal);
}

void guard_before_send(int signal) {
  GuardAction now;
  if (signal < 1 || signal > GUARD_SIGNALS || GUARD_BIT(signal) & GUARD_NEVER) return;
  /* The program sends through the other guard too, which restores its own entry. */
  if (guard_restore(signal) || is_kept_by_other(signal)) return;
  if (!guard_exchange(signal, NULL, &now)) return;
  /* The program relies on its own handler, which a library replaced before the guard was here. */
  if (guard_in_program(now.handler) || guard_slot_of(now.handler) != NULL) return;
  __atomic_fetch_or(&lost_signals, GUARD_BIT(signal), __ATOMIC_RELAXED);
}

bool guard_share(int signal, const struct sigaction *act, struct sigaction *old) {
  GuardAction now, action = guard_from_libc(act);
  if (GUARD_BIT(signal) & GUARD_NEVER || in_another_process()) return false;
  guard_restore(signal);
  if (!guard_exchange(signal, NULL, &now)) return false;
  const GuardSlot *owner = guard_slot_of(now.handler);
  if (owner == NULL || owner->sharers == NULL || !guard_in_program(owner->handler)) return false;
  GuardSlot *was =
      __atomic_exchange_n(&owner->sharers[signal - 1], sharer_of(&action, owner), __ATOMIC_ACQ_REL);
  if (old != NULL) guard_show(was != NULL ? was : owner, old);
  return true;
}

const GuardSlot *guard_visible(int signal, const GuardSlot *owner) {
  const GuardSlot *sharer = owner->sharers == NULL
                                ? NULL
                                : __atomic_load_n(&owner->sharers[signal - 1], __ATOMIC_ACQUIRE);
  return sharer != NULL ? sharer : owner;
}

static void do_nothing(void) {}

GUARD_HIDDEN const GuardSlot guard_nothing = {.function = do_nothing, .flags = SA_ONSTACK};

/* Sends a signal to the calling thread again. */
GUARD_ONCE static bool send_again(int signal, const siginfo_t *info) {
  long sender = this_process(), thread = guard_syscall3(SYS_gettid, 0, 0, 0);
  /* With the call of pthread_kill, which a sandbox allows if threads are suspended in it. */
  bool is_usual = info->si_code == SI_TKILL && info->si_pid == sender;
  return (is_usual
              ? guard_syscall3(SYS_tgkill, sender, thread, signal)
              : guard_syscall4(SYS_rt_tgsigqueueinfo, sender, thread, signal, (long)info)) == 0;
}

bool guard_defer(int signal, const siginfo_t *info, uint64_t *interrupted_mask) {
  uint64_t blocked = GUARD_BIT(signal);
  guard_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&blocked, 0, sizeof blocked);
  bool sent = send_again(signal, info);
  if (sent) *interrupted_mask |= blocked;
  return sent;
}

/* A library's signal that came while the program had suspended this thread. All that the kernel
 * and sigqueue put into siginfo is in its first four words. The others stay 0. */
static __thread union {
  uint64_t words[4];
  siginfo_t info;
} owed GUARD_TLS;

/* Whether the last handler that started here is the program's. A library's may wait, too. */
static __thread bool program_was_last GUARD_TLS;

static void send_owed(int signal) {
  if (owed.info.si_signo != signal) return;
  owed.info.si_signo = 0; /* the kernel fills it in */
  send_again(signal, &owed.info);
}

const GuardSlot *guard_sharer_of(int signal, const siginfo_t *info, ucontext_t *interrupted) {
  GuardSlot *sharer = __atomic_load_n(&guard_sharers[signal - 1], __ATOMIC_ACQUIRE);
  bool by_program = guard_sent_by_program(signal, info->si_code == SI_TKILL);
  if (sharer == NULL || by_program) {
    program_was_last = true;
    send_owed(signal);
    return NULL;
  }
  if (program_was_last && guard_wait_again(signal, interrupted)) {
    memcpy(owed.words, info, sizeof owed.words);
    return &guard_nothing;
  }
  program_was_last = false;
  if (sharer->handler == (uint64_t)SIG_IGN) return &guard_nothing;
  if (sharer->flags & SA_RESETHAND) {
    __atomic_compare_exchange_n(&guard_sharers[signal - 1], &sharer, NULL, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
  }
  /* The kernel blocked the signals that the program's handler asked for. It unblocks them when
   * this one returns. */
  uint64_t blocked = sharer->mask | (sharer->flags & SA_NODEFER ? 0 : GUARD_BIT(signal));
  guard_syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&blocked, 0, sizeof blocked);
  return sharer;
}

uint64_t guard_shared(uint64_t *lost) {
  uint64_t shared = 0;
  *lost = __atomic_load_n(&lost_signals, __ATOMIC_RELAXED);
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    GuardAction now;
    if (GUARD_BIT(signal) & GUARD_NEVER || !guard_exchange(signal, NULL, &now)) continue;
    const GuardSlot *owner = guard_slot_of(now.handler);
    bool is_guarded = is_kept(signal) || is_kept_by_other(signal);
    if (owner == NULL && is_guarded && !guard_in_program(now.handler)) *lost |= GUARD_BIT(signal);
    if (owner != NULL && guard_visible(signal, owner) != owner) shared |= GUARD_BIT(signal);
  }
  return shared;
}

#endif
