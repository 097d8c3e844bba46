/* System calls without libc: no errno, no cancellation, nothing to bind. */
#ifndef GUARD_RAW_H
#define GUARD_RAW_H

#ifdef __linux__

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

static inline long guard_syscall4(long number, long a, long b, long c, long d) {
#if defined __x86_64__
  long result;
  register long fourth __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
                   : "rcx", "r11", "memory");
  return result;
#else
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
#endif
}

static inline long guard_syscall3(long number, long a, long b, long c) {
  return guard_syscall4(number, a, b, c, 0);
}

/* Whether there is memory to read. The kernel reads a signal mask there, and then rejects the
 * invalid operation. If a sandbox rejects the call itself, no memory counts as readable. */
static inline bool guard_readable(uintptr_t address) {
  const long no_such_change = -1;
  return guard_syscall4(SYS_rt_sigprocmask, no_such_change, (long)address, 0, 8) == -EINVAL;
}

#endif
#endif
