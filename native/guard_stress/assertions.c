/* How `semantics` makes its checks; see assertions.h. */
#define _GNU_SOURCE
#include "assertions.h"

#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

int32_t (*install)(void), (*removed)(void), (*stats_of)(struct GuardStats *);
int32_t (*install_another)(void), (*remove_another)(void);
int32_t (*stats_of_another)(struct GuardStats *);
char alternate[ALTERNATE_BYTES];
bool failed;
struct HandlerRecord recorded;

void expect(bool holds, const char *what) {
  printf("%s %s\n", holds ? "ok" : "FAILED", what);
  fflush(stdout);
  failed |= !holds;
}

struct GuardStats stats(void) {
  struct GuardStats current = {.size = sizeof current};
  stats_of(&current);
  return current;
}

Raw raw(int signal) {
  Raw current;
  syscall(SYS_rt_sigaction, signal, NULL, &current, 8);
  return current;
}

bool guarded(int signal) {
  return stats().signals >> (signal - 1) & 1 && raw(signal).flags & SA_ONSTACK;
}

int set(int signal, Handler *handler, int flags, struct sigaction *old) {
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags};
  sigemptyset(&action.sa_mask);
  return sigaction(signal, &action, old);
}

bool on_alternate(const void *place) {
  return (const char *)place >= alternate && (const char *)place < alternate + sizeof alternate;
}

static uintptr_t stack_pointer(const ucontext_t *context) {
#if defined __x86_64__
  return (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#else
  return context->uc_mcontext.sp;
#endif
}

void note(int number, siginfo_t *info, void *context) {
  stack_t now;
  sigaltstack(NULL, &now);
  recorded.sp = (uintptr_t)__builtin_frame_address(0);
  recorded.interrupted = stack_pointer(context);
  recorded.number = number;
  recorded.value = info->si_value.sival_int;
  recorded.calls++;
  recorded.context_on_alternate = on_alternate(context) || on_alternate(info);
  recorded.altstack_in_use = now.ss_flags & SS_ONSTACK;
}

bool on_own_stack(void) {
  return !on_alternate((void *)recorded.sp) && !recorded.context_on_alternate &&
         !recorded.altstack_in_use && recorded.sp < recorded.interrupted &&
         recorded.interrupted - recorded.sp < 1 << 18;
}

void nest(int number, siginfo_t *info, void *context) {
  ucontext_t before = *(ucontext_t *)context;
  int value = info->si_value.sival_int;
  sigqueue(getpid(), SECOND, (union sigval){.sival_int = value + 1});
  recorded.nested_well =
      on_own_stack() && recorded.number == SECOND && recorded.value == value + 1 &&
      recorded.sp < (uintptr_t)&before && info->si_value.sival_int == value &&
      memcmp(&before.uc_mcontext, &((ucontext_t *)context)->uc_mcontext, 64) == 0;
  note(number, info, context);
}

void raise_within(int number) {
  (void)number;
  raise(FIRST);
}

int value_sent(int signal, int value) {
  recorded.calls = 0;
  return sigqueue(getpid(), signal, (union sigval){.sival_int = value});
}

int in_child(pid_t child) {
  int status;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
