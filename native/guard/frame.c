/* Moves the kernel's signal frame to the stack that the signal interrupted.
 *
 * It copies everything from the handler's stack pointer up to the end of the frame, unchanged,
 * by a distance that keeps every alignment. One pointer in the frame names a place in the frame
 * itself, and is corrected. */
#define _GNU_SOURCE
#include "action.h"

#ifdef __linux__

#include <ucontext.h>

GUARD_HIDDEN GuardCounts guard_counts;

static void count(uint64_t *counter) { __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

enum {
  FRAME_MAX = 1 << 18, /* larger than any frame: the largest known one holds SME's 64 KiB array */
  HANDLER_ROOM = 8 << 10,
};

#if defined __x86_64__

enum { RED_ZONE = 128, ALIGNMENT = 64, FXSAVE_BYTES = 512, SOFTWARE_AT = 464 };
static const uint32_t FXSAVE_HAS_MORE = 0x46505853; /* FP_XSTATE_MAGIC1 */

static uintptr_t interrupted_sp(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
}

static uintptr_t interrupted_pc(const ucontext_t *context) {
  return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

/* The frame: return address, ucontext, siginfo. Above them is the FPU's state, which contains
 * its own size. */
static bool frame_end(uintptr_t frame, uintptr_t info, uintptr_t context, uintptr_t record,
                      uintptr_t *end) {
  (void)record;
  if (context != frame + 8 || info <= context) return false;
  *end = info + sizeof(siginfo_t);
  uintptr_t fpu = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.fpregs;
  if (fpu == 0) return true;
  if (fpu < *end || fpu > frame + FRAME_MAX || fpu % ALIGNMENT != 0) return false;
  const uint32_t *software = (const uint32_t *)(fpu + SOFTWARE_AT);
  uint32_t bytes = software[0] == FXSAVE_HAS_MORE ? software[1] : FXSAVE_BYTES;
  *end = fpu + bytes;
  return bytes >= FXSAVE_BYTES;
}

static void correct(ucontext_t *context, intptr_t distance) {
  if (context->uc_mcontext.fpregs) {
    context->uc_mcontext.fpregs = (void *)((uintptr_t)context->uc_mcontext.fpregs + distance);
  }
}

static void copy(uintptr_t to, uintptr_t from, uintptr_t bytes) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

#else

enum { RED_ZONE = 0, ALIGNMENT = 16, SIGINFO_BYTES = 128 };

struct record {
  uint32_t magic, size;
};
struct extra {
  struct record head;
  uint64_t data;
  uint32_t size, unused[3];
};
static const uint32_t RECORD_EXTRA = 0x45585401;

static uintptr_t interrupted_sp(const ucontext_t *context) { return context->uc_mcontext.sp; }

static uintptr_t interrupted_pc(const ucontext_t *context) { return context->uc_mcontext.pc; }

/* The frame: siginfo, ucontext, perhaps more vector state. On top is a record of the interrupted
 * function, to which the frame pointer points. */
static bool frame_end(uintptr_t frame, uintptr_t info, uintptr_t context, uintptr_t record,
                      uintptr_t *end) {
  if (info != frame || context != frame + SIGINFO_BYTES || record % ALIGNMENT != 0) return false;
  if (record < context + sizeof(ucontext_t) || record > frame + FRAME_MAX) return false;
  *end = record + 16;
  return true;
}

static void correct(ucontext_t *context, intptr_t distance) {
  uintptr_t at = (uintptr_t)context->uc_mcontext.__reserved;
  uintptr_t end = at + sizeof context->uc_mcontext.__reserved;
  while (at + sizeof(struct extra) <= end) {
    struct extra *extra = (struct extra *)at;
    if (extra->head.magic == RECORD_EXTRA) extra->data += (uint64_t)distance;
    if (extra->head.magic == 0 || extra->head.size < sizeof extra->head) return;
    at += extra->head.size;
  }
}

static void copy(uintptr_t to, uintptr_t from, uintptr_t bytes) {
  uint64_t low, high;
  __asm__ volatile(
      "1: ldp %[low], %[high], [%[from]], #16\n"
      "stp %[low], %[high], [%[to]], #16\n"
      "subs %[bytes], %[bytes], #16\n"
      "b.hi 1b\n"
      : [to] "+r"(to), [from] "+r"(from), [bytes] "+r"(bytes), [low] "=&r"(low), [high] "=&r"(high)
      :
      : "memory", "cc");
}

#endif

static bool on_alternate(const ucontext_t *context, uintptr_t sp) {
  uintptr_t base = (uintptr_t)context->uc_stack.ss_sp;
  return sp - base < context->uc_stack.ss_size && !(context->uc_stack.ss_flags & SS_DISABLE);
}

/* `sp` is above the alternate stack, and the frame below it would reach into that stack, which
 * is then a part of the thread's own stack. */
static bool reaches_alternate(const ucontext_t *context, uintptr_t sp, uintptr_t needed) {
  uintptr_t base = (uintptr_t)context->uc_stack.ss_sp;
  return base < sp && sp - needed < base + context->uc_stack.ss_size;
}

/* Whether this thread is in `place`. Volatile for a signal that comes meanwhile. */
static __thread volatile bool placing GUARD_TLS;

/* The signal interrupted an entry on the alternate stack, which is about to move the frame of
 * another signal. Two signals that come at once do so. The frame of this one would stay here,
 * above which the other handler runs, so it must wait for that handler. */
static bool interrupts_entry(const ucontext_t *interrupted, bool was_placing) {
  uintptr_t at = interrupted_pc(interrupted);
  if (!on_alternate(interrupted, interrupted_sp(interrupted))) return false;
  return was_placing || (at >= (uintptr_t)guard_entries && at < (uintptr_t)guard_entries_end) ||
         guard_slot_of(at) != NULL;
}

static intptr_t place(uintptr_t frame, uintptr_t info, uintptr_t context, uintptr_t record,
                      int signal, const GuardSlot **chosen, bool was_placing) {
  uintptr_t end;
  if (guard_reset_fault(signal)) return 0;
  /* Another handler called this one, not the kernel; or the frame is unknown. */
  if (!frame_end(frame, info, context, record, &end) || end - frame > FRAME_MAX) {
    count(&guard_counts.unknown);
    return 0;
  }
  ucontext_t *interrupted = (ucontext_t *)context;
  if (interrupts_entry(interrupted, was_placing) &&
      guard_defer(signal, (const siginfo_t *)info, (uint64_t *)&interrupted->uc_sigmask)) {
    *chosen = &guard_nothing;
    return 0;
  }
  const GuardSlot *sharer = guard_sharer_of(signal, (const siginfo_t *)info, interrupted);
  if (sharer != NULL) {
    *chosen = sharer;
    if (sharer->flags & SA_ONSTACK) return 0;
  }
  uintptr_t sp = interrupted_sp(interrupted);
  if (!on_alternate(interrupted, frame)) {
    count(&guard_counts.direct);
    return 0;
  }
  if (on_alternate(interrupted, sp)) {
    count(&guard_counts.foreign);
    return 0;
  }
  uintptr_t needed = RED_ZONE + (end - frame) + ALIGNMENT + HANDLER_ROOM;
  GuardStack stack = guard_stack_of(sp, needed);
  if (stack == STACK_OWN && reaches_alternate(interrupted, sp, needed)) stack = STACK_FULL;
  if (stack != STACK_OWN) {
    count(stack == STACK_FULL      ? &guard_counts.tight
          : stack == STACK_UNKNOWN ? &guard_counts.unknown
                                   : &guard_counts.foreign);
    return 0;
  }
  intptr_t distance = (intptr_t)(sp - RED_ZONE - end);
  distance -= (intptr_t)((uintptr_t)distance % ALIGNMENT); /* downwards, also below zero */
  copy(frame + distance, frame, end - frame);
  correct((ucontext_t *)(context + distance), distance);
  count(&guard_counts.moved);
  return distance;
}

intptr_t guard_place(uintptr_t frame, uintptr_t info, uintptr_t context, uintptr_t record,
                     int signal, const GuardSlot **chosen) {
  bool was_placing = placing;
  placing = true;
  intptr_t distance = place(frame, info, context, record, signal, chosen, was_placing);
  placing = was_placing;
  return distance;
}

#endif
