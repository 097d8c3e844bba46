/* Stops threads by a signal, as JavaScriptCore does, and lets them continue. */
#define _GNU_SOURCE
#include "suspender.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

enum { LIMIT_S = 2, MOST_S = 60, ENOUGH_TRIES = 2000 };

unsigned long tries;
static _Atomic(Subject *) target;
static sem_t answered;
static int suspend_signal;

uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void on_suspend(int number, siginfo_t *info, void *context) {
  Subject *self = atomic_load(&target);
  int kept = errno;
  char here;
  (void)number;
  (void)info;
  if (atomic_load(&self->suspended)) return; /* continue: sigsuspend below returns */
  if ((uintptr_t)&here < self->low || (uintptr_t)&here >= self->high) {
    atomic_store(&self->context, NULL);
    sem_post(&answered);
    return;
  }
  atomic_store(&self->context, context);
  sem_post(&answered);
  sigset_t others;
  sigfillset(&others);
  sigdelset(&others, suspend_signal);
  sigsuspend(&others);
  atomic_store(&self->context, NULL);
  sem_post(&answered);
  errno = kept;
}

bool prepare_suspending(int number) {
  struct sigaction action = {.sa_sigaction = on_suspend, .sa_flags = SA_RESTART | SA_SIGINFO};
  suspend_signal = number;
  sem_init(&answered, 0, 0);
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, number);
  return sigaction(number, &action, NULL) == 0;
}

static void wait_for_answer(void) {
  while (sem_wait(&answered) != 0) {
  }
}

/* On a busy machine seconds alone say little: the handler must also have refused often enough. */
bool suspend(Subject *subject) {
  uint64_t started = now_ns();
  unsigned long tried = tries;
  atomic_store(&target, subject);
  for (;;) {
    tries++;
    pthread_kill(subject->id, suspend_signal);
    wait_for_answer();
    if (atomic_load(&subject->context) != NULL) break;
    uint64_t seconds = (now_ns() - started) / 1000000000;
    if (seconds >= MOST_S || (seconds >= LIMIT_S && tries - tried > ENOUGH_TRIES)) return false;
    sched_yield();
  }
  atomic_store(&subject->suspended, 1);
  return true;
}

void resume(Subject *subject) {
  do {
    pthread_kill(subject->id, suspend_signal);
    wait_for_answer();
  } while (atomic_load(&subject->context) != NULL);
  atomic_store(&subject->suspended, 0);
}

#if defined __x86_64__
static uintptr_t stack_pointer(const ucontext_t *c) {
  return (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
}
static const void *vector_state(const ucontext_t *c) { return c->uc_mcontext.fpregs; }
enum { VECTOR_STATE = 512 };
#else
static uintptr_t stack_pointer(const ucontext_t *c) { return c->uc_mcontext.sp; }
static const void *vector_state(const ucontext_t *c) { return c->uc_mcontext.__reserved; }
enum { VECTOR_STATE = 528 };
#endif

static uint64_t mixed(uint64_t sum, const void *from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) sum = (sum ^ ((const unsigned char *)from)[i]) * 0x100000001b3;
  return sum;
}

static uint64_t sum_of(const ucontext_t *context) {
  uint64_t sum = mixed(1, &context->uc_mcontext, sizeof context->uc_mcontext);
  return mixed(sum, vector_state(context), VECTOR_STATE);
}

void examine(const Subject *subject, unsigned turns) {
  const ucontext_t *context = atomic_load(&subject->context);
  uint64_t sum = sum_of(context);
  uintptr_t sp = stack_pointer(context);
  if (sp < subject->low || sp >= subject->high)
    changed("the interrupted stack pointer is elsewhere");
  for (volatile unsigned i = 0; i < turns * 1000; i++) {
  }
  if (sum_of(context) != sum) changed("the registers of a suspended thread");
}
