/* Which handlers get an entry, and what everybody is told about them.
 *
 * An entry's address is what the kernel has for a signal's handler, and alone says which handler is
 * meant. So there is no table to keep in step with the kernel's, and no lock: whoever exchanges an
 * action gets from the kernel the one that was there, and reads off it what its owner had asked for. */
#define _GNU_SOURCE
#include "core.h"

#ifdef __linux__

#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>

#include "entry.h"
#include "raw.h"

/* As the kernel lays it out. */
typedef struct {
  uint64_t handler, flags, restorer, mask;
} Action;

enum { TRIES = 8, PAGE_BYTES = 4096 };

#define BIT(signal) (UINT64_C(1) << ((signal) - 1))

/* Cancels a thread, and changes its user: no program can set their handlers. */
#define OF_LIBC (BIT(32) | BIT(33))

/* What a fault, an abort or a crash handler hears stays as it is: those want the alternate stack.
 * SIGURG and SIGPROF are Go's own, and JavaScriptCore uses neither. */
#define NEVER                                                                                      \
  (BIT(SIGILL) | BIT(SIGTRAP) | BIT(SIGABRT) | BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGKILL) |          \
   BIT(SIGSEGV) | BIT(SIGSTOP) | BIT(SIGURG) | BIT(SIGPROF) | BIT(SIGSYS) | OF_LIBC)

/* What Go takes over, to hand on what is none of its own. */
#define FAULTS (BIT(SIGBUS) | BIT(SIGFPE) | BIT(SIGSEGV))

/* As full as a mask gets: the kernel takes out two signals, and libc its own. */
#define EVERY_SIGNAL (~(BIT(SIGKILL) | BIT(SIGSTOP) | OF_LIBC))

static bool blocks_everything(const Action *action) {
  return (action->mask & EVERY_SIGNAL) == EVERY_SIGNAL;
}

GUARD_ONCE static bool exchange(int signal, const Action *put, Action *was) {
  return guard_syscall4(SYS_rt_sigaction, signal, (long)put, (long)was, sizeof was->mask) == 0;
}

static bool same(const Action *one, const Action *other) {
  return one->handler == other->handler && one->flags == other->flags && one->mask == other->mask;
}

/* The first pages are never mapped: what is below them, and SIG_ERR, has a meaning of its own. */
static bool is_function(uint64_t handler) {
  return handler >= 1 << 16 && handler != (uint64_t)SIG_ERR;
}

static bool own_entry(uint64_t handler) {
  uint64_t at = handler - (uint64_t)(uintptr_t)guard_entries;
  return at < GUARD_SLOTS * GUARD_ENTRY_BYTES && at % GUARD_ENTRY_BYTES == 0;
}

/* The slot that an entry, also of another guard, stands for. */
GUARD_ONCE static const GuardSlot *slot_of(uint64_t handler) {
  /* So aligned, what is read does not reach into another page. */
  if (!is_function(handler) || handler % GUARD_ENTRY_BYTES != 0) return NULL;
  /* A library that is gone may have left a handler behind, and code need not be readable. */
  if (!guard_readable(handler)) return NULL;
  const char *code = (const char *)(uintptr_t)handler;
  uint64_t mark;
  int64_t distance;
  memcpy(&mark, code + GUARD_MARK_AT, sizeof mark);
  if (mark != GUARD_MARK) return NULL;
  memcpy(&distance, code + GUARD_SLOT_AT, sizeof distance);
  return (const GuardSlot *)(code + GUARD_SLOT_AT + distance);
}

/* The entry for a handler. Equal ones share it, so that a program that sets the same two handlers in
 * turn for ever needs two. Entries are not given back: one might be running. */
GUARD_ONCE static uint64_t entry_for(const Action *owner) {
  for (unsigned each = 0; each < GUARD_SLOTS; each++) {
    GuardSlot *slot = &guard_slots[each];
    uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (state == 0 && __atomic_compare_exchange_n(&slot->state, &state, GUARD_TAKEN, false,
                                                  __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
      slot->handler = owner->handler;
      slot->flags = owner->flags;
      slot->mask = owner->mask;
      __atomic_store_n(&slot->state, GUARD_READY, __ATOMIC_RELEASE);
      state = GUARD_READY;
    }
    if (state == GUARD_READY && slot->handler == owner->handler && slot->flags == owner->flags &&
        slot->mask == owner->mask) {
      return (uint64_t)(uintptr_t)guard_entries + each * GUARD_ENTRY_BYTES;
    }
  }
  __atomic_fetch_add(&guard_counts.full, 1, __ATOMIC_RELAXED);
  return 0;
}

/* A handler of faults that is for once alone, and may return to let the next fault end the process. Go
 * calls it as a function, for which the kernel resets nothing, so that it would be called for ever. */
static bool is_for_once(int signal, const Action *action) {
  return FAULTS & BIT(signal) && is_function(action->handler) && action->flags & SA_RESETHAND;
}

bool guard_reset_fault(int signal) {
  if (!(FAULTS & BIT(signal))) return false;
  exchange(signal, &(Action){.handler = (uint64_t)SIG_DFL}, NULL);
  return true;
}

/* A handler that is told the interrupted registers, and was written for the stack it interrupts. */
static bool needs_stack(int signal, const Action *action) {
  return !(NEVER & BIT(signal)) && is_function(action->handler) && action->flags & SA_SIGINFO &&
         !(action->flags & SA_ONSTACK);
}

static bool needs_entry(int signal, const Action *action) {
  return needs_stack(signal, action) || is_for_once(signal, action);
}

/* What is installed for `owner`'s sake; false leaves it as it is. */
static bool behind_entry(int signal, const Action *owner, Action *put) {
  uint64_t entry = entry_for(owner);
  if (entry == 0) return false;
  *put = *owner;
  put->handler = entry;
  if (!(FAULTS & BIT(signal))) put->flags |= SA_ONSTACK | SA_SIGINFO;
  return true;
}

static Action from_libc(const struct sigaction *action) {
  Action own = {.handler = (uint64_t)(uintptr_t)action->sa_handler,
                .flags = (uint32_t)action->sa_flags,
                .restorer = 0};
  memcpy(&own.mask, &action->sa_mask, sizeof own.mask);
  return own;
}

static void to_libc(const Action *own, struct sigaction *action) {
  action->sa_handler = (void (*)(int))(uintptr_t)own->handler;
  action->sa_flags = (int)own->flags;
  memcpy(&action->sa_mask, &own->mask, sizeof own->mask);
}

static void show_owner(struct sigaction *action) {
  const GuardSlot *slot = slot_of((uint64_t)(uintptr_t)action->sa_handler);
  if (slot == NULL) return;
  Action owner = {slot->handler, slot->flags, 0, slot->mask};
  to_libc(&owner, action);
}

/* Somebody (Go) read a handler that has an entry, and writes it back with SA_ONSTACK. */
static bool adds_flag(GuardSigaction *real, int signal, const Action *wanted) {
  struct sigaction now;
  if (!(wanted->flags & SA_ONSTACK) || !is_function(wanted->handler)) return false;
  if (real(signal, NULL, &now) != 0) return false;
  const GuardSlot *slot = slot_of((uint64_t)(uintptr_t)now.sa_handler);
  return slot != NULL && slot->handler == wanted->handler;
}

int guard_sigaction(GuardSigaction *real, int signal, const struct sigaction *act,
                    struct sigaction *old) {
  if (signal < 1 || signal > GUARD_SIGNALS) return real(signal, act, old);
  struct sigaction put;
  const struct sigaction *given = act;
  if (act != NULL) {
    Action wanted = from_libc(act), entry;
    if ((needs_entry(signal, &wanted) || adds_flag(real, signal, &wanted)) &&
        slot_of(wanted.handler) == NULL && behind_entry(signal, &wanted, &entry)) {
      put = *act;
      to_libc(&entry, &put);
      given = &put;
    }
  }
  int result = real(signal, given, old);
  /* Who takes a fault over calls what it is told of: that has to be the entry. */
  if (result == 0 && old != NULL && !(FAULTS & BIT(signal))) show_owner(old);
  return result;
}

/* The program's own code: that of the runtime, never that of a Go library. */
typedef struct {
  uint64_t address;
  bool inside;
} Question;

static int in_first_object(struct dl_phdr_info *object, size_t size, void *data) {
  (void)size;
  Question *question = data;
  for (unsigned each = 0; each < object->dlpi_phnum; each++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[each];
    if (part->p_type == PT_LOAD && part->p_flags & PF_X &&
        question->address - object->dlpi_addr - part->p_vaddr < part->p_memsz) {
      question->inside = true;
    }
  }
  return 1; /* the program is the first */
}

static bool in_program(uint64_t address) {
  Question question = {address, false};
  dl_iterate_phdr(in_first_object, &question);
  return question.inside;
}

/* Go's own handlers say that a Go runtime is there; it sets that of SIGFPE before it adds a flag to any
 * handler that is guarded. */
static bool go_is_here(void) {
  static const int of_go[] = {SIGFPE, SIGURG};
  for (unsigned each = 0; each < 2; each++) {
    Action now;
    if (exchange(of_go[each], NULL, &now) && is_function(now.handler) && now.flags & SA_ONSTACK &&
        blocks_everything(&now)) {
      return true;
    }
  }
  return false;
}

/* Once a Go runtime is there, every handler has the flag. Those that Go added it to are the
 * program's own, and do not block every signal as Go's do. */
static bool got_flag_from_go(int signal, const Action *action) {
  return !(NEVER & BIT(signal)) && is_function(action->handler) && action->flags & SA_SIGINFO &&
         action->flags & SA_ONSTACK && !blocks_everything(action) && in_program(action->handler) &&
         go_is_here();
}

static bool wrap(int signal) {
  Action now, put, was;
  for (unsigned each = 0; each < TRIES; each++) {
    if (!exchange(signal, NULL, &now)) return false;
    if (slot_of(now.handler) != NULL) return true;
    if (!needs_entry(signal, &now) && !got_flag_from_go(signal, &now)) return false;
    if (!behind_entry(signal, &now, &put) || !exchange(signal, &put, &was)) return false;
    if (same(&was, &now)) return true;
    /* Another thread changed it in between: put that back, and look again. */
    exchange(signal, &was, NULL);
  }
  return false;
}

uint64_t guard_wrap_all(void) {
  uint64_t wrapped = 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    if (wrap(signal)) wrapped |= BIT(signal);
  }
  return wrapped & ~FAULTS;
}

uint64_t guard_unwrap_all(void) {
  uint64_t unwrapped = 0, flag = go_is_here() ? SA_ONSTACK : 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    Action now, was;
    if (!exchange(signal, NULL, &now) || !own_entry(now.handler)) continue;
    const GuardSlot *slot = slot_of(now.handler);
    /* With Go here the flag stays: a small stack must not get a signal's frame. */
    Action put = {slot->handler, slot->flags | (now.flags & ~(SA_ONSTACK | SA_SIGINFO)),
                  now.restorer, slot->mask};
    if (!(FAULTS & BIT(signal))) put.flags |= flag;
    if (!exchange(signal, &put, &was)) continue;
    if (same(&was, &now)) unwrapped |= BIT(signal);
    else exchange(signal, &was, NULL);
  }
  return unwrapped & ~FAULTS;
}

uint64_t guard_wrapped(uint64_t *foreign) {
  uint64_t own = 0;
  *foreign = 0;
  for (int signal = 1; signal <= GUARD_SIGNALS; signal++) {
    Action now;
    if (!exchange(signal, NULL, &now) || slot_of(now.handler) == NULL) continue;
    *(own_entry(now.handler) ? &own : foreign) |= BIT(signal) & ~FAULTS;
  }
  return own;
}

#endif
