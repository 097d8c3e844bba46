/* A library that takes signals of the program, as Go's os/signal does, in every way there is. */
#define _GNU_SOURCE
#include "rival.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef void Handler(int, siginfo_t *, void *);

static struct RivalRecord recorded;
static Handler *next;

static void on_signal(int number, siginfo_t *info, void *context) {
  stack_t stack;
  sigaltstack(NULL, &stack);
  recorded.calls++;
  recorded.number = number;
  recorded.code = info->si_code;
  recorded.on_alternate = (stack.ss_flags & SS_ONSTACK) != 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &recorded.blocked, 8);
  if (next != NULL) next(number, info, context);
}

static void on_collection(int number) {
  stack_t stack;
  sigaltstack(NULL, &stack);
  recorded.calls++;
  recorded.number = number;
  recorded.on_alternate = (stack.ss_flags & SS_ONSTACK) != 0;
}

static struct sigaction action_of(enum RivalHandler handler, int flags) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = flags | SA_SIGINFO};
  if (handler == RIVAL_COLLECTS) {
    action.sa_handler = on_collection;
    action.sa_flags = flags;
  }
  if (handler == RIVAL_IGNORES) action.sa_handler = SIG_IGN;
  if (handler == RIVAL_DEFAULTS) action.sa_handler = SIG_DFL;
  sigfillset(&action.sa_mask);
  return action;
}

EXPORT int RivalTakes(int number, enum RivalHandler handler, int flags, struct sigaction *old) {
  struct sigaction action = action_of(handler, flags);
  return sigaction(number, &action, old);
}

EXPORT int RivalPutsBack(int number, const struct sigaction *old) {
  return sigaction(number, old, NULL);
}

/* As a language with its own system calls does. */
EXPORT int RivalTakesRaw(int number, enum RivalHandler handler) {
  struct {
    uint64_t handler, flags, restorer, mask;
  } raw;
  struct sigaction action = action_of(handler, SA_ONSTACK);
  syscall(SYS_rt_sigaction, number, NULL, &raw, 8);
  raw.handler = (uint64_t)(uintptr_t)action.sa_sigaction;
  raw.flags |= (uint64_t)action.sa_flags;
  raw.mask = ~UINT64_C(0);
  return (int)syscall(SYS_rt_sigaction, number, &raw, NULL, 8);
}

/* As a garbage collector does to stop its threads. */
EXPORT int RivalSends(pthread_t thread, int number) { return pthread_kill(thread, number); }

EXPORT void RivalIgnores(int number) { signal(number, SIG_IGN); }

/* Makes the handler call another one as a function, as Go does with signals that are not its
 * own. */
EXPORT void RivalForwards(void (*to)(int, siginfo_t *, void *)) { next = to; }

EXPORT struct RivalRecord RivalSaw(void) {
  struct RivalRecord result = recorded;
  recorded = (struct RivalRecord){0};
  return result;
}
