/* Makes a thread that the program has suspended wait on. */
#define _GNU_SOURCE
#include "action.h"

#ifdef __linux__

#include <sys/syscall.h>
#include <ucontext.h>

#if defined __x86_64__

enum { CALL = 0x050f, CALL_BYTES = 2 };

/* Whether the mask lets only this signal through. */
static bool is_wait(int signal, const uint64_t *mask) {
  return guard_readable((uintptr_t)mask) &&
         (*mask & GUARD_EVERY) == (GUARD_EVERY & ~GUARD_BIT(signal));
}

static bool call_again(int signal, mcontext_t *registers) {
  greg_t *general = registers->gregs;
  uint16_t code;
  memcpy(&code, (const void *)(general[REG_RIP] - CALL_BYTES), sizeof code);
  if (code != CALL || !is_wait(signal, (const uint64_t *)general[REG_RDI])) return false;
  general[REG_RIP] -= CALL_BYTES;
  general[REG_RAX] = SYS_rt_sigsuspend;
  return true;
}

#else

enum { CALL_BYTES = 4 };
static const uint32_t call = 0xd4000001;

/* For sigsuspend, because the kernel overwrote the address of the mask with the result. */
static uint64_t masks[GUARD_SIGNALS];

static bool call_again(int signal, mcontext_t *registers) {
  uint32_t code;
  memcpy(&code, (const void *)(registers->pc - CALL_BYTES), sizeof code);
  if (code != call || registers->regs[8] != SYS_rt_sigsuspend) return false;
  masks[signal - 1] = GUARD_EVERY & ~GUARD_BIT(signal);
  registers->pc -= CALL_BYTES;
  registers->regs[0] = (uintptr_t)&masks[signal - 1];
  return true;
}

#endif

bool guard_wait_again(int signal, ucontext_t *interrupted) {
  /* A blocked signal comes only if it interrupts sigsuspend, or a call like it. */
  uint64_t blocked = *(uint64_t *)&interrupted->uc_sigmask;
  return blocked & GUARD_BIT(signal) && call_again(signal, &interrupted->uc_mcontext);
}

#endif
