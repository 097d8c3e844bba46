/* Which stack a stack pointer is on, told without a file, a lock, an allocation or a call of libc.
 *
 * Any thread that libc made has its thread pointer at the top of the memory that holds its stack, also
 * where a program supplied that memory. The main thread's stack begins below the words that the kernel
 * put there (AT_RANDOM). So a stack pointer is on the thread's own stack where all memory between it and
 * that top can be read: below a stack lies a page that cannot. The kernel is asked page by page, by a
 * call that every sandbox allows, and only when a signal finds the thread deeper than any before. */
#define _GNU_SOURCE
#include "entry.h"
#include "raw.h"

#ifdef __linux__

#include <sys/auxv.h>
#include <sys/syscall.h>

enum { PAGE = 4096 /* the smallest there is */, PAGES_AT_ONCE = 1 << 14 };

/* No stack is larger. What is farther away, as Go's memory is, need not be walked to. */
static const uintptr_t FARTHEST = UINT64_C(1) << 34;

static uintptr_t main_top;

/* Where this thread's stack begins, and the lowest place that was seen to be stack; initial-exec, so
 * that a handler may touch it. */
static __thread struct {
  uintptr_t top, seen;
} own
#ifdef __GLIBC__ /* musl refuses it in dlopen, and gives every thread its memory beforehand */
    __attribute__((tls_model("initial-exec")))
#endif
    ;

bool guard_prepare_stacks(void) {
  uintptr_t within = getauxval(AT_RANDOM);
  if (within == 0 || !guard_readable(within) || guard_readable(0)) return false;
  main_top = (within + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  return true;
}

static void learn(void) {
  bool is_main = guard_syscall3(SYS_gettid, 0, 0, 0) == guard_syscall3(SYS_getpid, 0, 0, 0);
  uintptr_t top = is_main ? main_top : (uintptr_t)__builtin_thread_pointer();
  own.seen = top & ~(uintptr_t)(PAGE - 1);
  own.top = top;
  __atomic_fetch_add(&guard_counts.searched, 1, __ATOMIC_RELAXED);
}

GuardStack guard_stack_of(uintptr_t sp, uintptr_t needed) {
  if (own.top == 0) learn();
  if (own.top == 0) return STACK_UNKNOWN;
  if (sp >= own.top || own.top - sp > FARTHEST) return STACK_OTHER;
  for (unsigned walked = 0; own.seen > sp - needed; walked++) {
    if (walked == PAGES_AT_ONCE) return STACK_UNKNOWN;
    if (!guard_readable(own.seen - PAGE)) return sp < own.seen ? STACK_OTHER : STACK_FULL;
    own.seen -= PAGE;
  }
  return STACK_OWN;
}

#endif
