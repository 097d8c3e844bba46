/* Where handlers run, and how the interrupted code continues. */
#define _GNU_SOURCE
#include "assertions.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static sigjmp_buf away;

static void leave(int number, siginfo_t *info, void *context) {
  note(number, info, context);
  siglongjmp(away, 1);
}

void handlers_run_on_their_own_stack(void) {
  value_sent(FIRST, 77);
  expect(recorded.calls == 1 && on_own_stack(),
         "handler, siginfo and ucontext are on the thread's own stack");
  expect(recorded.number == FIRST && recorded.value == 77, "siginfo is the kernel's");
  stack_t now;
  sigaltstack(NULL, &now);
  expect(now.ss_sp == alternate && now.ss_size == sizeof alternate && now.ss_flags == 0,
         "the alternate stack's settings are as they were");
#if defined __x86_64__
  uint64_t zone[16];
  for (int i = 0; i < 16; i++) zone[i] = 0x1111111111111111u * (unsigned)(i % 15 + 1);
  long result = SYS_tgkill;
  bool kept = true;
  for (int i = 1; i <= 16; i++) {
    uint64_t remaining;
    result = SYS_tgkill;
    __asm__ volatile(
        "movq %[value], -128(%%rsp)\nmovq %[value], -8(%%rsp)\nsyscall\n"
        "movq -128(%%rsp), %[remaining]\nxorq -8(%%rsp), %[remaining]"
        : "+a"(result), [remaining] "=&r"(remaining)
        : "D"((long)getpid()), "S"(syscall(SYS_gettid)), "d"((long)FIRST), [value] "r"(zone[i - 1])
        : "rcx", "r11", "memory");
    kept &= result == 0 && remaining == 0;
  }
  expect(kept, "the red zone is left alone");
#endif
}

static int at_home, values;

static void gather(int number, siginfo_t *info, void *context) {
  note(number, info, context);
  at_home += on_own_stack();
  values += info->si_value.sival_int;
}

/* The kernel starts the second handler at the first instruction of the first. A collector that
 * stops the world, such as Boehm's, scans the stack from its own handler's frame upwards. */
void signals_come_at_once(void) {
  sigset_t both, before, after;
  sigemptyset(&both);
  sigaddset(&both, FIRST);
  sigaddset(&both, SECOND);
  set(FIRST, gather, SA_SIGINFO, NULL);
  set(SECOND, gather, SA_SIGINFO | SA_NODEFER, NULL);
  at_home = values = 0;
  for (int round = 0; round < 100; round++) {
    sigprocmask(SIG_BLOCK, &both, &before);
    value_sent(FIRST, 1);
    value_sent(SECOND, 1000);
    sigprocmask(SIG_SETMASK, &before, NULL);
  }
  sigprocmask(SIG_BLOCK, NULL, &after);
  expect(at_home == 200 && values == 100100,
         "of two signals that come at once, both handlers run on the thread's own stack");
  expect(memcmp(&before, &after, sizeof(uint64_t)) == 0, "and the mask is as it was afterwards");
  at_home = 0;
  sigprocmask(SIG_BLOCK, &both, &before);
  raise(FIRST);
  raise(SECOND);
  sigprocmask(SIG_SETMASK, &before, NULL);
  expect(at_home == 2 && recorded.number == SECOND,
         "also of two that the process sends to a thread");
  set(FIRST, note, SA_SIGINFO, NULL);
  set(SECOND, note, SA_SIGINFO, NULL);
}

void handlers_nest(void) {
  set(FIRST, nest, SA_SIGINFO, NULL);
  value_sent(FIRST, 5);
  expect(recorded.nested_well && recorded.calls == 2,
         "a handler within a handler; the outer one's context stays");
  set(FIRST, leave, SA_SIGINFO, NULL);
  volatile int left = 0;
  for (volatile int i = 0; i < 1000; i++) {
    if (sigsetjmp(away, 1) == 0) raise(FIRST);
    else left++;
  }
  expect(left == 1000 && on_own_stack(), "a handler may leave by siglongjmp");
  set(FIRST, note, SA_SIGINFO, NULL);
  struct sigaction wants = {.sa_handler = raise_within, .sa_flags = SA_ONSTACK};
  sigaction(WANTS_ALTERNATE, &wants, NULL);
  uint64_t before = stats().foreign;
  raise(WANTS_ALTERNATE);
  expect(on_alternate((void *)recorded.sp) && stats().foreign == before + 1,
         "interrupted on the alternate stack, it is called there");
}

static void *raise_in_thread(void *data) {
  raise(*(int *)data);
  return NULL;
}

void in_other_threads(void) {
  pthread_t thread;
  int number = FIRST;
  uint64_t before = stats().direct;
  pthread_create(&thread, NULL, raise_in_thread, &number);
  pthread_join(thread, NULL);
  expect(recorded.number == FIRST && stats().direct == before + 1,
         "a thread without an alternate stack");
}

void in_other_processes(void) {
  pid_t child = fork();
  if (child == 0) {
    value_sent(FIRST, 9);
    _exit(on_own_stack() && recorded.value == 9 ? 7 : 8);
  }
  expect(in_child(child) == 7, "in a child after fork");
  child = vfork();
  if (child == 0) {
    syscall(SYS_tgkill, syscall(SYS_getpid), syscall(SYS_gettid), FIRST);
    _exit(on_own_stack() ? 7 : 8);
  }
  expect(in_child(child) == 7, "in a child of vfork");
}

void calls_go_on(void) {
  int ends[2];
  char byte = 0;
  if (pipe(ends) != 0) return;
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    usleep(20000);
    for (int i = 0; i < 5; i++) {
      kill(parent, FIRST);
      usleep(2000);
    }
    if (write(ends[1], "x", 1) != 1) _exit(1);
    _exit(0);
  }
  set(FIRST, note, SA_SIGINFO | SA_RESTART, NULL);
  recorded.calls = 0;
  bool went_on = read(ends[0], &byte, 1) == 1 && byte == 'x' && recorded.calls > 0;
  in_child(child);
  expect(went_on, "a read that is interrupted goes on with SA_RESTART");
  set(FIRST, note, SA_SIGINFO, NULL);
  child = fork();
  if (child == 0) {
    usleep(20000);
    kill(parent, FIRST);
    _exit(0);
  }
  expect(read(ends[0], &byte, 1) == -1 && errno == EINTR, "and is broken off without it");
  in_child(child);
}

static int order[8], arrived;

static void enlist(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)context;
  order[arrived++] = info->si_value.sival_int;
}

void queued_signals(void) {
  sigset_t held, old;
  set(SECOND, enlist, SA_SIGINFO, NULL);
  sigemptyset(&held);
  sigaddset(&held, SECOND);
  sigprocmask(SIG_BLOCK, &held, &old);
  for (int i = 0; i < 8; i++) value_sent(SECOND, i);
  sigprocmask(SIG_SETMASK, &old, NULL);
  bool in_order = arrived == 8;
  for (int i = 0; i < 8; i++) in_order &= order[i] == i;
  expect(in_order, "queued signals arrive, each with its value");
}
