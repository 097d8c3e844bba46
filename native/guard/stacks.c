/* Finds the stack of a stack pointer without a file, a lock, an allocation or a call of libc.
 *
 * In a thread that libc made, the thread pointer is at the top of the memory that holds the
 * stack, also if the program supplied that memory. The main thread's stack begins below the
 * words that the kernel put there (AT_RANDOM). An unreadable page lies below each stack. So a
 * stack pointer is on the thread's own stack if all memory between it and that top is readable.
 * The guard asks the kernel page by page, with a call that every sandbox allows, and only if a
 * signal finds the thread deeper than ever before. */
#define _GNU_SOURCE
#include "entry.h"
#include "raw.h"

#ifdef __linux__

#include <sys/auxv.h>
#include <sys/syscall.h>

enum { PAGE = 4096 /* the smallest page size */, PAGES_AT_ONCE = 1 << 14 };

/* No stack is larger. Memory farther away, such as Go's, need not be examined. */
static const uintptr_t FARTHEST = UINT64_C(1) << 34;

static uintptr_t main_top;

/* Where this thread's stack begins, and the lowest place known to be stack. */
static __thread struct {
  uintptr_t top, lowest;
} own GUARD_TLS;

bool guard_prepare_stacks(void) {
  uintptr_t on_stack = getauxval(AT_RANDOM);
  if (on_stack == 0 || !guard_readable(on_stack) || guard_readable(0)) return false;
  main_top = (on_stack + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  return true;
}

static void find_top(void) {
  bool is_main = guard_syscall3(SYS_gettid, 0, 0, 0) == guard_syscall3(SYS_getpid, 0, 0, 0);
  uintptr_t top = is_main ? main_top : (uintptr_t)__builtin_thread_pointer();
  own.lowest = top & ~(uintptr_t)(PAGE - 1);
  own.top = top;
  __atomic_fetch_add(&guard_counts.searched, 1, __ATOMIC_RELAXED);
}

GuardStack guard_stack_of(uintptr_t sp, uintptr_t needed) {
  if (own.top == 0) find_top();
  if (own.top == 0) return STACK_UNKNOWN;
  if (sp >= own.top || own.top - sp > FARTHEST) return STACK_OTHER;
  for (unsigned walked = 0; own.lowest > sp - needed; walked++) {
    if (walked == PAGES_AT_ONCE) return STACK_UNKNOWN;
    if (!guard_readable(own.lowest - PAGE)) return sp < own.lowest ? STACK_OTHER : STACK_FULL;
    own.lowest -= PAGE;
  }
  return STACK_OWN;
}

#endif
