/* Sandboxes: restrictions that a service manager, a container or an application puts on a
 * process. */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __x86_64__
#define THIS_ARCHITECTURE AUDIT_ARCH_X86_64
#else
#define THIS_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Threads, memory, time and signals, as allowed by Docker's profile and by systemd's sets
 * @default, @basic-io, @process, @signal and @timer. Nothing that names a file. */
static const uint32_t ALLOWED[] = {
    SYS_read,
    SYS_write,
    SYS_writev,
    SYS_close,
    SYS_mmap,
    SYS_munmap,
    SYS_mprotect,
    SYS_madvise,
    SYS_brk,
    SYS_mremap,
    SYS_futex,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait,
    SYS_sigaltstack,
    SYS_clone,
    SYS_clone3,
    SYS_exit,
    SYS_exit_group,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_tkill,
    SYS_kill,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_set_robust_list,
    SYS_rseq,
    SYS_prlimit64,
    SYS_getrandom,
    SYS_restart_syscall,
    SYS_set_tid_address,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_eventfd2,
    SYS_timer_create,
    SYS_timer_settime,
    SYS_timer_delete,
    SYS_setitimer,
    SYS_prctl,
    SYS_membarrier,
};
enum { COUNT = sizeof ALLOWED / sizeof *ALLOWED, PROLOGUE = 4 };

static bool filter(uint32_t otherwise) {
#ifdef __GLIBC__ /* Its malloc would read a file to find the number of processors. */
  mallopt(M_ARENA_MAX, 8);
#endif
  struct sock_filter program[PROLOGUE + COUNT + 2] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_ARCHITECTURE, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  };
  for (uint32_t each = 0; each < COUNT; each++) {
    uint8_t to_allowed = (uint8_t)(COUNT - each);
    program[PROLOGUE + each] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ALLOWED[each], to_allowed, 0);
  }
  program[PROLOGUE + COUNT] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
  program[PROLOGUE + COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog whole = {.len = PROLOGUE + COUNT + 2, .filter = program};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole) == 0;
}

static bool without_proc(void) {
  char folder[] = "/tmp/empty-XXXXXX";
  if (mkdtemp(folder) == NULL || chroot(folder) != 0 || chdir("/") != 0) return false;
  return access("/proc", F_OK) != 0;
}

static bool without_descriptors(void) {
  struct rlimit none = {0, 0};
  return setrlimit(RLIMIT_NOFILE, &none) == 0 && dup(0) == -1 && errno == EMFILE;
}

bool enter_sandbox(const char *kind) {
  if (strcmp(kind, "kill") == 0) return filter(SECCOMP_RET_KILL_PROCESS);
  if (strcmp(kind, "refuse") == 0) return filter(SECCOMP_RET_ERRNO | EPERM);
  if (strcmp(kind, "chroot") == 0) return without_proc();
  if (strcmp(kind, "descriptors") == 0) return without_descriptors();
  return false;
}
