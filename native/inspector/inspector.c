/* inspect [--within MS] PID [TID…]: prints the signal handlers and the alternate stacks of a running
 * process, which /proc does not show. The inspector does not stop the threads TID, because some
 * system calls must not be interrupted. Each other thread may take MS milliseconds to stop. Only the
 * time in which the thread could run counts. All threads together may take STOPS_MOST_MS.
 *
 * inspect -- COMMAND…: runs a command that every process of this user may inspect. Without it, Yama
 * (ptrace_scope 1) allows only ancestors to do so.
 *
 * The output is JSON lines:
 * - `signal`: a signal with a handler or ignored (handler, flags, mask).
 * - `thread`: a thread (pc, sp, thread pointer, alternate stack, time for which it was stopped).
 * - `end`, or `refused` with an errno: the last line.
 *
 * The process need not cooperate. The inspector stops one thread after the other with ptrace. It
 * makes the thread call mmap, rt_sigaction(N, NULL, page), sigaltstack(NULL, page) and munmap, then
 * restores the thread's registers and lets it run. If a thread waits in a system call, the inspector
 * first moves it back to before that call. So the kernel itself decides how the call continues.
 *
 * A thread that ran on in the middle of such a call would use the inspector's registers. So a child
 * process does the work. It has a session of its own, and only SIGKILL ends it. It finishes even if
 * somebody kills the parent, which is the process that a user or the harness started. */
#define _GNU_SOURCE
#include "able_time.h"
#include "target.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_GETSIGMASK
#define PTRACE_GETSIGMASK 0x420a
#define PTRACE_SETSIGMASK 0x420b
#endif
enum { GET_RSEQ = 0x420f, EVENT_STOP = 128, SIGNALS = 64, PAGE = 4096 };
static const char IN_SEQUENCE[] = "it is in a restartable sequence";
static const char TOO_BUSY[] = "the machine is too busy to stop it";
enum { STOP_WITHIN_MS = 6000, STOPS_MOST_MS = 90000, TRIES = 8 };

typedef struct {
  uint64_t handler, flags, restorer, mask; /* in the kernel's layout */
} Action;

typedef struct {
  uint64_t base;
  int32_t flags, unused;
  uint64_t size;
} AlternateStack;

typedef struct {
  pid_t tid;
  Registers home; /* the registers to restore */
  uint64_t mask, held;
  bool masked; /* from here on the thread must be restored */
  Vectors vectors;
} Guest;

typedef enum { SYSCALL_STOP, OTHER_STOP, FAULT, GONE } Stop;

static void rest_us(long us) {
  nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
}

static bool get_registers(pid_t tid, Registers *r) {
  struct iovec whole = {r, sizeof *r};
  return ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &whole) == 0 && whole.iov_len == sizeof *r;
}

static bool set_registers(pid_t tid, Registers *r) {
  struct iovec whole = {r, sizeof *r};
  return ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &whole) == 0;
}

/* Runs a stopped thread to its next entry to a system call, or exit from one. All signals are
 * blocked, so only a stop signal or our own mistake can arrive. The wait has no deadline,
 * because a thread that was let go here would continue with our registers. The caller gives up
 * earlier, and this process ends later. */
static Stop to_call(Guest *guest) {
  for (;;) {
    int status;
    if (ptrace(PTRACE_SYSCALL, guest->tid, 0, 0) < 0) return GONE;
    pid_t waited;
    do waited = waitpid(guest->tid, &status, __WALL);
    while (waited < 0 && errno == EINTR);
    if (waited < 0 || !WIFSTOPPED(status)) return GONE;
    int number = WSTOPSIG(status);
    if (number == (SIGTRAP | 0x80)) return SYSCALL_STOP;
    if (status >> 16 == EVENT_STOP) continue;
    if (number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGSYS ||
        number == SIGTRAP) {
      return FAULT;
    }
    guest->held |= UINT64_C(1) << (number - 1);
  }
}

/* Makes a thread execute a system call. */
static const char *call(const Process *process, Guest *guest, long number,
                        const uint64_t *arguments, long *result) {
  Registers r = guest->home;
  place_call(&r, process->gadget, number, arguments);
  if (!set_registers(guest->tid, &r)) return "its registers cannot be set";
  for (int side = 0; side < 2; side++) {
    Stop stop = to_call(guest);
    if (stop != SYSCALL_STOP) return stop == GONE ? "it ended" : "it may not make system calls";
  }
  if (!get_registers(guest->tid, &r)) return "it ended";
  *result = result_of(&r);
  return NULL;
}

/* Stops a thread, whatever it is doing. */
static const char *stop(const Process *process, pid_t tid) {
  if (now_us() >= process->give_up_us) return TOO_BUSY;
  if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) < 0) {
    return errno == ESRCH ? "it ended" : strerror(errno);
  }
  ptrace(PTRACE_INTERRUPT, tid, 0, 0);
  AbleTime time = able_time(process->pid, tid);
  for (long rest = 20; time.able_us < process->within_us; count(&time)) {
    int status;
    if (now_us() >= process->give_up_us) return TOO_BUSY;
    pid_t waited = waitpid(tid, &status, __WALL | WNOHANG);
    if (waited == 0) {
      rest_us(rest);
      if (rest < 2000) rest += rest / 8;
    } else if (waited < 0 || !WIFSTOPPED(status)) {
      return "it ended";
    } else if (status >> 16 == EVENT_STOP) {
      return NULL;
    } else {
      /* The thread stopped for a pending signal. Deliver it. */
      int number = WSTOPSIG(status);
      ptrace(PTRACE_CONT, tid, 0, number == (SIGTRAP | 0x80) ? 0 : number);
    }
  }
  return "it waits in the kernel and cannot be stopped";
}

/* Returns whether a thread is in a restartable sequence. The kernel restarts the sequence if the
 * thread moves to another processor. A thread that we stopped in it would continue at the wrong
 * place. */
static bool in_restartable_sequence(const Process *process, pid_t tid, uint64_t pc) {
  struct {
    uint64_t area;
    uint32_t size, signature, flags, unused;
  } setting;
  struct {
    uint32_t version, flags;
    uint64_t start, length, abort;
  } sequence;
  uint64_t at = 0;
  return ptrace((__typeof__(PTRACE_SEIZE))GET_RSEQ, tid, sizeof setting, &setting) > 0 &&
         setting.area != 0 && read_memory(process, setting.area + 8, &at, sizeof at) && at != 0 &&
         read_memory(process, at, &sequence, sizeof sequence) &&
         pc - sequence.start < sequence.length;
}

/* Moves a stopped thread to a place where it can make system calls, and saves its state. */
static const char *prepare(const Process *process, Guest *guest) {
  unsigned char here[sizeof CALL] = {0};
  if (!get_registers(guest->tid, &guest->home)) return "it ended";
  uint64_t pc = pc_of(&guest->home);
  if (!is_native(&guest->home)) return "it runs 32-bit code";
  if (in_restartable_sequence(process, guest->tid, pc)) return IN_SEQUENCE;
  if (!save_vectors(guest->tid, &guest->vectors)) return "it uses the streaming mode of SME";
  uint64_t all = UINT64_MAX;
  if (ptrace(PTRACE_GETSIGMASK, guest->tid, sizeof guest->mask, &guest->mask) < 0 ||
      ptrace(PTRACE_SETSIGMASK, guest->tid, sizeof all, &all) < 0) {
    return "its signal mask cannot be set";
  }
  guest->masked = true;
  read_memory(process, pc, here, sizeof here);
  if (!restarts(&guest->home, here)) return NULL;
  Stop entered = to_call(guest);
  if (entered != SYSCALL_STOP || !get_registers(guest->tid, &guest->home)) return "it ended";
  Registers entry = guest->home;
  rewind_call(&guest->home);
  if (!skip_call(guest->tid, &entry)) return "its system call cannot be put off";
  return to_call(guest) == SYSCALL_STOP ? NULL : "it ended";
}

static void leave(const Process *process, Guest *guest) {
  restore_vectors(guest->tid, &guest->vectors);
  set_registers(guest->tid, &guest->home);
  ptrace(PTRACE_SETSIGMASK, guest->tid, sizeof guest->mask, &guest->mask);
  ptrace(PTRACE_DETACH, guest->tid, 0, 0);
  for (int number = 1; number <= SIGNALS; number++) {
    if (guest->held >> (number - 1) & 1) syscall(SYS_tgkill, process->pid, guest->tid, number);
  }
}

static const char *print_signals(Process *process, Guest *guest, uint64_t page, FILE *out) {
  for (int number = 1; number <= SIGNALS; number++) {
    if (!(process->wanted_signals >> (number - 1) & 1)) continue;
    long failed;
    Action action;
    const uint64_t arguments[6] = {(uint64_t)number, 0, page, sizeof action.mask};
    const char *problem = call(process, guest, SYS_rt_sigaction, arguments, &failed);
    if (problem != NULL) return problem;
    if (failed || !read_memory(process, page, &action, sizeof action)) continue;
    fprintf(out,
            "{\"at\":\"signal\",\"number\":%d,\"handler\":%" PRIu64 ",\"flags\":%" PRIu64
            ",\"mask\":%" PRIu64 "}\n",
            number, action.handler, action.flags, action.mask);
  }
  process->signals_printed = true;
  return NULL;
}

static const char *read_state(Process *process, Guest *guest, AlternateStack *stack, FILE *out) {
  long page, result;
  const uint64_t map[6] = {
      0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0};
  const char *problem = call(process, guest, SYS_mmap, map, &page);
  if (problem != NULL) return problem;
  if (page < 0 && page > -PAGE) return "it has no room for a page";
  const uint64_t alternate[6] = {0, (uint64_t)page}, unmap[6] = {(uint64_t)page, PAGE};
  problem = call(process, guest, SYS_sigaltstack, alternate, &result);
  if (problem == NULL &&
      (result != 0 || !read_memory(process, (uint64_t)page, stack, sizeof *stack))) {
    problem = "its alternate stack cannot be read";
  }
  if (problem == NULL && !process->signals_printed)
    problem = print_signals(process, guest, (uint64_t)page, out);
  const char *unmapped = call(process, guest, SYS_munmap, unmap, &result);
  return problem != NULL ? problem : unmapped;
}

static const char *try_thread(Process *process, pid_t tid, FILE *out) {
  static Guest guest;
  AlternateStack stack = {0};
  uint64_t tls = 0;
  memset(&guest, 0, sizeof guest);
  guest.tid = tid;
  uint64_t started = now_us();
  const char *problem = stop(process, tid);
  if (problem != NULL) return problem;
  problem = prepare(process, &guest);
  if (!guest.masked) {
    ptrace(PTRACE_DETACH, tid, 0, 0);
    return problem;
  }
  if (problem == NULL) problem = read_state(process, &guest, &stack, out);
  get_tls(tid, &guest.home, &tls);
  leave(process, &guest);
  if (problem != NULL) return problem;
  fprintf(out,
          "{\"at\":\"thread\",\"tid\":%d,\"pc\":%" PRIu64 ",\"sp\":%" PRIu64 ",\"tls\":%" PRIu64
          ",\"alt_base\":%" PRIu64 ",\"alt_size\":%" PRIu64
          ",\"alt_flags\":%d,\"stopped_us\":%" PRIu64 "}\n",
          (int)tid, pc_of(&guest.home), sp_of(&guest.home), tls, stack.base, stack.size,
          (int)stack.flags, now_us() - started);
  return NULL;
}

static int refuse(int number, const char *what) {
  printf("{\"at\":\"refused\",\"errno\":%d,\"why\":\"%s\"}\n", number, what);
  return 1;
}

/* Returns whether the command line excludes a thread. */
static bool is_spared(pid_t tid, char **spared) {
  for (; *spared != NULL; spared++) {
    if (atoi(*spared) == tid) return true;
  }
  return false;
}

static int inspect(pid_t pid, uint64_t within_us, char **spared) {
  Process process = {
      .pid = pid, .within_us = within_us, .give_up_us = now_us() + STOPS_MOST_MS * UINT64_C(1000)};
  const char *what = "";
  int number = open_process(&process, &what);
  if (number != 0) return refuse(number, what);
  size_t count;
  pid_t *tids = list_threads(process.pid, &count);
  if (tids == NULL) return refuse(ESRCH, "there is no such process");
  for (size_t i = 0; i < count; i++) {
    const char *problem = NULL;
    if (is_spared(tids[i], spared)) {
      printf("{\"at\":\"thread\",\"tid\":%d,\"problem\":\"its call may not be interrupted\"}\n",
             (int)tids[i]);
      continue;
    }
    for (int tries = 0; tries < TRIES; tries++) {
      problem = try_thread(&process, tids[i], stdout);
      if (problem == NULL || strcmp(problem, IN_SEQUENCE) != 0) break;
      rest_us(200);
    }
    if (problem != NULL) {
      printf("{\"at\":\"thread\",\"tid\":%d,\"problem\":\"%s\"}\n", (int)tids[i], problem);
    }
  }
  free(tids);
  puts("{\"at\":\"end\"}");
  return 0;
}

/* Starts the child that does the work. It writes its output to the pipe. */
static pid_t start_worker(pid_t pid, uint64_t within_us, char **spared, const int *pipe_ends) {
  pid_t worker = fork();
  if (worker != 0) return worker;
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, NULL);
  setsid();
  /* A thread must not stay stopped while we wait for a processor. This fails without privileges. */
  setpriority(PRIO_PROCESS, 0, -20);
  dup2(pipe_ends[1], STDOUT_FILENO);
  close(pipe_ends[0]);
  close(pipe_ends[1]);
  /* While a thread is stopped, nothing is written, because the reader may be slow or gone. */
  static char room[1 << 22];
  setvbuf(stdout, room, _IOFBF, sizeof room);
  exit(inspect(pid, within_us, spared));
}

int main(int argc, char **argv) {
  if (argc > 2 && strcmp(argv[1], "--") == 0) {
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    execvp(argv[2], argv + 2);
    fprintf(stderr, "inspect: cannot run %s: %s\n", argv[2], strerror(errno));
    return 127;
  }
  uint64_t within_us = STOP_WITHIN_MS * UINT64_C(1000);
  if (argc > 2 && strcmp(argv[1], "--within") == 0) {
    within_us = strtoull(argv[2], NULL, 10) * 1000;
    argv += 2;
    argc -= 2;
  }
  pid_t pid = argc >= 2 ? atoi(argv[1]) : 0;
  int ends[2];
  if (pid <= 0 || pipe(ends) < 0) {
    fprintf(stderr, "usage: inspect [--within MS] PID [TID…] | inspect -- COMMAND…\n");
    return 2;
  }
  pid_t worker = start_worker(pid, within_us, argv + 2, ends);
  if (worker < 0) return refuse(errno, "no process can be started");
  close(ends[1]);
  char text[1 << 16];
  for (ssize_t size; (size = read(ends[0], text, sizeof text)) > 0;) {
    if (fwrite(text, 1, (size_t)size, stdout) != (size_t)size) return 1;
  }
  int status = 0;
  while (waitpid(worker, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
