/* Processor-specific code: where a thread is, and how to make it execute a system call. */
#ifndef GOBUN_INSPECTOR_MACHINE_H
#define GOBUN_INSPECTOR_MACHINE_H

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifndef ERESTARTSYS
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516
#endif

#if defined(__x86_64__)

#include <sys/user.h>

enum { MACHINE = EM_X86_64, CALL_STEP = 1 };
static const unsigned char CALL[] = {0x0f, 0x05}; /* syscall */

typedef struct user_regs_struct Registers;
typedef struct {
  char nothing; /* the kernel keeps the vector registers over a system call */
} Vectors;

static inline uint64_t pc_of(const Registers *r) { return r->rip; }
static inline uint64_t sp_of(const Registers *r) { return r->rsp; }

static inline bool get_tls(pid_t tid, const Registers *r, uint64_t *tls) {
  (void)tid;
  *tls = r->fs_base;
  return true;
}

/* Whether the thread runs 64-bit code, which this program can steer. */
static inline bool is_native(const Registers *r) { return r->cs == 0x33; }

/* Whether the kernel, left alone, would now lead the thread back into a system call that the
 * stop interrupted. `here` is the code at its pc. */
static inline bool restarts(const Registers *r, const unsigned char *here) {
  (void)here;
  if ((long)r->orig_rax < 0) return false;
  long result = (long)r->rax;
  return result == -ERESTARTSYS || result == -ERESTARTNOINTR || result == -ERESTARTNOHAND ||
         result == -ERESTART_RESTARTBLOCK;
}

static inline bool skip_call(pid_t tid, Registers *r) {
  Registers skipping = *r;
  skipping.orig_rax = (unsigned long long)-1;
  struct iovec whole = {&skipping, sizeof skipping};
  return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &whole) == 0;
}

/* Moves a thread that stopped at the entry of a system call back to before the instruction. */
static inline void rewind_call(Registers *r) {
  r->rax = r->orig_rax;
  r->orig_rax = (unsigned long long)-1;
  r->rip -= sizeof CALL;
}

static inline void place_call(Registers *r, uint64_t pc, long number, const uint64_t *arguments) {
  r->rip = pc;
  r->orig_rax = (unsigned long long)-1;
  r->rax = (unsigned long long)number;
  r->rdi = arguments[0];
  r->rsi = arguments[1];
  r->rdx = arguments[2];
  r->r10 = arguments[3];
  r->r8 = arguments[4];
  r->r9 = arguments[5];
}

static inline long result_of(const Registers *r) { return (long)r->rax; }

static inline bool save_vectors(pid_t tid, Vectors *vectors) {
  (void)tid;
  vectors->nothing = 0;
  return true;
}
static inline void restore_vectors(pid_t tid, Vectors *vectors) {
  (void)tid;
  (void)vectors;
}

#elif defined(__aarch64__)

#include <asm/ptrace.h>

enum { MACHINE = EM_AARCH64, CALL_STEP = 4 };
static const unsigned char CALL[] = {0x01, 0x00, 0x00, 0xd4}; /* svc #0 */

#ifndef NT_ARM_SYSTEM_CALL
#define NT_ARM_SYSTEM_CALL 0x404
#endif
#ifndef NT_ARM_SVE
#define NT_ARM_SVE 0x405
#endif
#ifndef NT_ARM_SSVE
#define NT_ARM_SSVE 0x40b
#endif

enum { BRANCH_TYPE = 3 << 10, REGISTERS_ARE_SVE = 1, VECTOR_FLAGS_AT = 12 };

typedef struct user_pt_regs Registers;
typedef struct {
  size_t size;
  unsigned char bytes[1 << 14]; /* 16 header bytes, and 32 registers of 256 bytes at most */
} Vectors;

static inline uint64_t pc_of(const Registers *r) { return r->pc; }
static inline uint64_t sp_of(const Registers *r) { return r->sp; }

static inline bool get_tls(pid_t tid, const Registers *r, uint64_t *tls) {
  (void)r;
  uint64_t registers[2] = {0, 0};
  struct iovec whole = {registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_TLS, &whole) < 0) return false;
  *tls = registers[0];
  return true;
}

static inline bool is_native(const Registers *r) { return (r->pstate & 0x10) == 0; }

/* The kernel has already moved the thread back to the instruction. A thread that is about to
 * execute one for the first time looks the same. */
static inline bool restarts(const Registers *r, const unsigned char *here) {
  (void)r;
  return memcmp(here, CALL, sizeof CALL) == 0;
}

static inline bool skip_call(pid_t tid, Registers *r) {
  (void)r;
  int none = -1;
  struct iovec whole = {&none, sizeof none};
  return ptrace(PTRACE_SETREGSET, tid, NT_ARM_SYSTEM_CALL, &whole) == 0;
}

static inline void rewind_call(Registers *r) { r->pc -= sizeof CALL; }

static inline void place_call(Registers *r, uint64_t pc, long number, const uint64_t *arguments) {
  r->pc = pc;
  r->pstate &= ~(uint64_t)BRANCH_TYPE; /* svc is no landing pad */
  r->regs[8] = (uint64_t)number;
  for (int i = 0; i < 6; i++) r->regs[i] = arguments[i];
}

static inline long result_of(const Registers *r) { return (long)r->regs[0]; }

/* A system call clears the SVE registers beyond 128 bits, and ends SME's streaming mode, which
 * this program cannot restore. */
static inline bool save_vectors(pid_t tid, Vectors *vectors) {
  struct iovec whole = {vectors->bytes, sizeof vectors->bytes};
  vectors->size = 0;
  if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_SSVE, &whole) == 0 && whole.iov_len > VECTOR_FLAGS_AT &&
      vectors->bytes[VECTOR_FLAGS_AT] & REGISTERS_ARE_SVE) {
    return false;
  }
  whole.iov_len = sizeof vectors->bytes;
  if (ptrace(PTRACE_GETREGSET, tid, NT_ARM_SVE, &whole) == 0) vectors->size = whole.iov_len;
  return true;
}

static inline void restore_vectors(pid_t tid, Vectors *vectors) {
  struct iovec whole = {vectors->bytes, vectors->size};
  if (vectors->size > 0) ptrace(PTRACE_SETREGSET, tid, NT_ARM_SVE, &whole);
}

#else
#error "the inspector knows x86-64 and arm64"
#endif

#endif
