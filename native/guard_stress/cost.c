/* cost GUARD: what a signal costs with the guard and without, in nanoseconds from raise to
 * return.
 *
 * It measures three handlers in turn, block by block, so that a machine that becomes slower does
 * so for all. `plain` runs on the thread's own stack, as without Go. `flagged` runs on the
 * alternate stack, as with Go. `guarded` is moved from there to the thread's own stack. `direct`
 * is guarded, on a thread without an alternate stack. `unwatched` and `watched` are guarded
 * signals that pthread_kill sends, past the guard and through it. Prints one line of JSON with
 * the median of the blocks. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 201, BLOCK = 500, PLAIN = 40, FLAGGED = 41, GUARDED = 42 };

typedef enum { SENT_PLAIN, SENT_FLAGGED, SENT_GUARDED, UNWATCHED, WATCHED, KINDS } Kind;

static volatile int calls;

static void on_signal(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  (void)context;
  calls++;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int (*libc_kill)(pthread_t, int);

static double block(Kind kind) {
  static const int SIGNALS[] = {PLAIN, FLAGGED, GUARDED};
  long process = getpid(), thread = syscall(SYS_gettid);
  pthread_t self = pthread_self();
  uint64_t started = now_ns();
  for (int i = 0; i < BLOCK; i++) {
    if (kind == WATCHED) pthread_kill(self, GUARDED);
    else if (kind == UNWATCHED) libc_kill(self, GUARDED);
    else syscall(SYS_tgkill, process, thread, SIGNALS[kind]);
  }
  return (double)(now_ns() - started) / BLOCK;
}

static int ascending(const void *one, const void *other) {
  double a = *(const double *)one, b = *(const double *)other;
  return (a > b) - (a < b);
}

static void measure(double *medians) {
  static double taken[KINDS][BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    for (int kind = 0; kind < KINDS; kind++) taken[kind][i] = block((Kind)kind);
  }
  for (int kind = 0; kind < KINDS; kind++) {
    qsort(taken[kind], BLOCKS, sizeof(double), ascending);
    medians[kind] = taken[kind][BLOCKS / 2];
  }
}

static void *measure_direct(void *medians) {
  measure(medians);
  return NULL;
}

int main(int argc, char **argv) {
  void *guard = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (guard == NULL) {
    fprintf(stderr, "cost: %s\n", argc > 1 ? dlerror() : "no guard");
    return 2;
  }
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
  sigaction(GUARDED, &action, NULL);
  libc_kill = (int (*)(pthread_t, int))dlsym(RTLD_DEFAULT, "pthread_kill");
  int32_t guarded = ((int32_t (*)(void))dlsym(guard, "GuardInstall"))();
  struct {
    uint64_t handler, flags, restorer, mask;
  } raw;
  syscall(SYS_rt_sigaction, GUARDED, NULL, &raw, 8);
  raw.handler = (uint64_t)(uintptr_t)on_signal;
  syscall(SYS_rt_sigaction, FLAGGED, &raw, NULL, 8); /* past the guard */
  raw.flags &= ~(uint64_t)SA_ONSTACK;
  syscall(SYS_rt_sigaction, PLAIN, &raw, NULL, 8);

  double direct[KINDS], moved[KINDS];
  pthread_t thread;
  pthread_create(&thread, NULL, measure_direct, direct);
  pthread_join(thread, NULL);
  stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
  sigaltstack(&alternate, NULL);
  measure(moved);
  printf(
      "{\"guarded\": %d, \"plain_ns\": %.0f, \"flagged_ns\": %.0f, \"moved_ns\": %.0f, "
      "\"direct_plain_ns\": %.0f, \"direct_ns\": %.0f, \"unwatched_ns\": %.0f, "
      "\"watched_ns\": %.0f}\n",
      guarded, moved[SENT_PLAIN], moved[SENT_FLAGGED], moved[SENT_GUARDED], direct[SENT_PLAIN],
      direct[SENT_GUARDED], moved[UNWATCHED], moved[WATCHED]);
  return 0;
}
