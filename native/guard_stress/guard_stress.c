/* guard_stress MODE SUSPENDS GO-LIBRARY [GUARD [ANOTHER [SANDBOX]]]: suspends threads with a signal,
 * as a JavaScript engine does. Meanwhile the threads compute, run Go, panic in Go, are called back
 * from Go and load libraries. The program checks that a signal changes nothing else. It prints one
 * line of JSON.
 *
 * MODE   none         the Go library alone, so its change of the handler stays
 *        before       the guard, then the Go library
 *        after        the Go library, then the guard
 *        left-alone   a signal whose handler Go does not change (JSC_SIGNAL_FOR_GC=21 in Bun)
 *        no-go        neither Go nor a guard, to measure the cost of a suspension
 *        twice        as `before`, and a second copy of the guard, ANOTHER, after the Go library
 *        taken        as `before`, while Go repeatedly takes, ignores and returns the suspend signal
 *
 * SANDBOX names a sandbox of sandbox.h. The program enters it once everything is loaded.
 *
 * Exit codes: 0: no fault. 1: a signal changed something that it must not change. 3: a thread could
 * not be suspended. 4: this machine does not allow the sandbox. Any other code is a crash. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../guard/go-guard.h"
#include "sandbox.h"
#include "suspender.h"
#include "taker.h"
#include "vectors.h"

enum {
  MUTATORS = 6,
  BATCH = 40,
  LOAD_EVERY = 16,
  CROWD = 512,
  ALTERNATE_BYTES = 64 << 10,
  STACK_BYTES = 512 << 10,
  SCRIBBLED = 8 << 10,
  CHANGED = 1,
  STUCK = 3,
  SANDBOX_FAILED = 4,
};

typedef enum { MAIN, PLAIN, ALTERNATE, GIVEN, BRIEF, LENT } Kind; /* the last is a thread of Go's */

typedef struct {
  Subject subject;
  Kind kind;
  void *given;
  atomic_bool ready, stop;
  sem_t turn;
  atomic_ulong rounds;
} Mutator;

static Mutator mutators[MUTATORS];
static unsigned mutator_count = MUTATORS;
static _Atomic(Mutator *) active; /* the active one; more would compete for the processors */
static bool with_go, with_files = true, takes_signals;
static atomic_ulong pestered, faults;
static char first_fault[160];

static int32_t (*go_descend)(int32_t), (*go_panic)(void), (*go_spawn)(int32_t, int32_t);
static void (*go_back)(void *, void *), (*go_lend)(void *, void *), (*go_crowd)(int32_t);
static int32_t (*go_disturbed)(void);

void changed(const char *what) {
  if (atomic_fetch_add(&faults, 1) == 0) snprintf(first_fault, sizeof first_fault, "%s", what);
}

/* The code of the threads. */

/* A signal that uses the alternate stack, and overwrites all of it. */
static void on_pester(int number) {
  volatile char scribble[SCRIBBLED];
  (void)number;
  for (size_t i = 0; i < sizeof scribble; i++) scribble[i] = (char)0xa5;
  atomic_fetch_add(&pestered, 1);
}

static void called_back(void *data) {
  Mutator *mutator = data;
  if (!vectors_survive(atomic_load(&mutator->rounds), 50)) changed("a vector register, below Go");
}

static void run_go(Mutator *mutator, unsigned long round) {
  switch (round % 8) {
    case 0:
      if (go_panic() != 0) changed("a panic in Go");
      break;
    case 1:
      if (go_spawn(4, 8) != 0) changed("a goroutine's stack");
      break;
    case 2:
    case 3:
      go_back((void *)called_back, mutator);
      break;
    default:
      if (go_descend((int32_t)(round % 5)) != 0) changed("the stack of a Go call");
      break;
  }
}

/* Loads a small library of libc that nothing else uses, and unloads it. musl is one library. */
static void load_and_drop(void) {
#ifdef __GLIBC__
  void *library = dlopen("libresolv.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL || dlclose(library) != 0) changed("loading of libraries");
#endif
}

static void one_round(Mutator *mutator) {
  unsigned long round = atomic_fetch_add(&mutator->rounds, 1);
  stack_t before, after;
  sigset_t blocked, blocked_after;
  sigaltstack(NULL, &before);
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  errno = 4242;
  if (!vectors_survive(round, 200)) changed("a vector register");
  if (errno != 4242) changed("errno");
  if (with_go) run_go(mutator, round);
  if (with_files && round % LOAD_EVERY == 0) load_and_drop();
  sigaltstack(NULL, &after);
  pthread_sigmask(SIG_SETMASK, NULL, &blocked_after);
  /* Go gives a thread an alternate stack when it first runs there. */
  if (mutator->kind == ALTERNATE &&
      (before.ss_sp != after.ss_sp || before.ss_flags != after.ss_flags)) {
    changed("the alternate stack");
  }
  for (int number = 1; number < 65; number++) {
    if (sigismember(&blocked, number) != sigismember(&blocked_after, number))
      changed("the signal mask");
  }
}

/* libc reads a file to find the main thread's stack. */
static void find_stack(Mutator *mutator) {
  if (mutator->kind == MAIN && mutator->subject.high != 0) return;
  pthread_attr_t attributes;
  void *low;
  size_t size;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  mutator->subject.low = (uintptr_t)low;
  mutator->subject.high = (uintptr_t)low + size;
}

static void *mutate(void *data) {
  Mutator *mutator = data;
  stack_t alternate = {.ss_size = ALTERNATE_BYTES};
  find_stack(mutator);
  if (mutator->kind == ALTERNATE || mutator->kind == MAIN) {
    alternate.ss_sp = malloc(ALTERNATE_BYTES);
    sigaltstack(&alternate, NULL);
  }
  atomic_store(&mutator->ready, true);
  while (!atomic_load(&mutator->stop)) {
    if (atomic_load(&active) == mutator) one_round(mutator);
    else sem_wait(&mutator->turn);
  }
  if (alternate.ss_sp != NULL) {
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    free(alternate.ss_sp);
  }
  return NULL;
}

static void mutate_lent(void *data) {
  ((Mutator *)data)->subject.id = pthread_self();
  mutate(data);
}

static void start(Mutator *mutator, Kind kind) {
  pthread_attr_t attributes;
  mutator->kind = kind;
  atomic_store(&mutator->ready, false);
  atomic_store(&mutator->stop, false);
  if (kind == LENT) {
    go_lend((void *)mutate_lent, mutator);
    return;
  }
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  if (kind == GIVEN) {
    mutator->given =
        mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_setstack(&attributes, mutator->given, STACK_BYTES);
  }
  pthread_create(&mutator->subject.id, &attributes, mutate, mutator);
  pthread_attr_destroy(&attributes);
}

static void stop(Mutator *mutator) {
  atomic_store(&mutator->stop, true);
  sem_post(&mutator->turn);
}

static void renew(Mutator *mutator) {
  stop(mutator);
  pthread_join(mutator->subject.id, NULL);
  start(mutator, BRIEF);
}

typedef struct {
  unsigned long wanted, done;
  uint64_t spent_ns;
  Mutator *stuck;
} Work;

static int32_t (*ask_guard)(struct GuardStats *);

static void print(const Work *work) {
  static const char *const KINDS[] = {"main", "plain", "alternate", "given", "brief", "lent"};
  struct GuardStats stats = {.size = sizeof stats};
  if (ask_guard != NULL) ask_guard(&stats);
  printf(
      "{\"suspends\": %lu, \"tries\": %lu, \"mean_us\": %.3f, \"pestered\": %lu, \"faults\": %lu, "
      "\"first\": \"%s\", \"stuck\": \"%s\", \"moved\": %lu, \"direct\": %lu, \"foreign\": %lu, "
      "\"tight\": %lu, \"unknown\": %lu, \"searched\": %lu, \"taken\": %lu, \"arrived\": %lu}\n",
      work->done, tries, work->done ? (double)work->spent_ns / (double)work->done / 1000 : 0,
      atomic_load(&pestered), atomic_load(&faults), first_fault,
      work->stuck ? KINDS[work->stuck->kind] : "", stats.moved, stats.direct, stats.foreign,
      stats.tight, stats.unknown, stats.searched, taker.taken, taker.arrived);
  fflush(stdout);
}

static void *suspend_all(void *data) {
  Work *work = data;
  for (; work->done < work->wanted && work->stuck == NULL; work->done++) {
    Mutator *mutator = &mutators[work->done / BATCH % mutator_count];
    if (work->done % BATCH == 0) {
      if (takes_signals && !takers_signal_arrives()) changed("a signal that Go asked for");
      if (mutator->kind == BRIEF) renew(mutator);
      while (!atomic_load(&mutator->ready)) sched_yield();
      atomic_store(&active, mutator);
      sem_post(&mutator->turn);
    }
    /* At times another signal comes just before, and one while the thread stands still. Not where Go takes
     * that one as well: its os/signal calls itself for ever when it gives a signal back that just comes. */
    bool pesters = !takes_signals;
    if (pesters && work->done % 3 == 0) pthread_kill(mutator->subject.id, SIGUSR2);
    uint64_t started = now_ns();
    if (!suspend(&mutator->subject)) {
      work->stuck = mutator;
      print(work);
      _exit(STUCK); /* the main thread may be the one */
    }
    work->spent_ns += now_ns() - started;
    if (pesters && work->done % 4 == 0) pthread_kill(mutator->subject.id, SIGUSR2);
    examine(&mutator->subject, work->done % 3);
    resume(&mutator->subject);
  }
  if (with_go && go_disturbed() != 0) changed("the stacks of other goroutines");
  if (takes_signals) stop_taking();
  stop(&mutators[0]);
  return NULL;
}

/* Libraries. */

static void *symbol(void *library, const char *name) {
  void *function = dlsym(library, name);
  if (function == NULL) {
    fprintf(stderr, "guard_stress: no %s: %s\n", name, dlerror());
    exit(2);
  }
  return function;
}

static void *opened(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    fprintf(stderr, "guard_stress: %s\n", dlerror());
    exit(2);
  }
  return library;
}

static void load_go(const char *path) {
  void *library = opened(path);
  go_descend = (int32_t (*)(int32_t))symbol(library, "Descend");
  go_panic = (int32_t (*)(void))symbol(library, "Panic");
  go_spawn = (int32_t (*)(int32_t, int32_t))symbol(library, "Spawn");
  go_back = (void (*)(void *, void *))symbol(library, "Back");
  go_lend = (void (*)(void *, void *))symbol(library, "Lend");
  go_crowd = (void (*)(int32_t))symbol(library, "Crowd");
  go_disturbed = (int32_t (*)(void))symbol(library, "Disturbed");
  taker.take = (int32_t (*)(int32_t, int32_t))symbol(library, "TakeSignals");
  taker.received = (int32_t (*)(int32_t))symbol(library, "SignalsReceived");
  go_crowd(CROWD); /* waits until the Go runtime is there */
  with_go = true;
}

static void load_guard(const char *path) {
  void *library = opened(path);
  int32_t guarded = ((int32_t (*)(void))symbol(library, "GuardInstall"))();
  if (guarded < 1) fprintf(stderr, "guard_stress: GuardInstall returned %d\n", guarded);
  if (ask_guard == NULL)
    ask_guard = (int32_t (*)(struct GuardStats *))symbol(library, "GuardStats");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  const char *mode = argv[1];
  Work work = {.wanted = strtoul(argv[2], NULL, 10)};
  if (!prepare_suspending(strcmp(mode, "left-alone") == 0 ? SIGTTIN : SIGPWR)) return 2;

  takes_signals = strcmp(mode, "taken") == 0;
  bool first = strcmp(mode, "before") == 0 || strcmp(mode, "twice") == 0 || takes_signals;
  if (first) load_guard(argv[4]);
  if (strcmp(mode, "no-go") != 0) load_go(argv[3]);
  else mutator_count = LENT;
  if (strcmp(mode, "after") == 0) load_guard(argv[4]);
  if (strcmp(mode, "twice") == 0) load_guard(argv[5]);

  /* After Go, because its table of signals would not allow it otherwise. */
  struct sigaction pestering = {.sa_handler = on_pester, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigaction(SIGUSR2, &pestering, NULL);

  find_stack(&mutators[0]);
  if (argc > 6) {
    static char buffer[BUFSIZ]; /* libc asks for the kind of file when it makes the buffer */
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    with_files = false;
    if (!enter_sandbox(argv[6])) return SANDBOX_FAILED;
  }
  pthread_t suspender;
  for (unsigned i = 0; i < mutator_count; i++) sem_init(&mutators[i].turn, 0, 0);
  mutators[0].subject.id = pthread_self();
  for (unsigned i = 1; i < mutator_count; i++) start(&mutators[i], (Kind)i);
  if (takes_signals) start_taking(SIGPWR);
  pthread_create(&suspender, NULL, suspend_all, &work);
  mutate(&mutators[0]);
  pthread_join(suspender, NULL);
  print(&work);
  _exit(atomic_load(&faults) ? CHANGED : 0);
}
