/* Signals that the program and a library both use. Each gets its own, in whatever way the library
 * asks for the signal. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "assertions.h"
#include "rival.h"

enum { UNUSED = 45 };

static RivalTakesFunction *takes;
static RivalPutsBackFunction *puts_back;
static RivalTakesRawFunction *takes_raw;
static RivalIgnoresFunction *ignores;
static RivalSendsFunction *sends;
static RivalForwardsFunction *forwards;
static RivalRecordFunction *saw;

static void send_from_outside(void) {
  pid_t program = getpid(), child = fork();
  if (child == 0) {
    kill(program, FIRST);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

/* Who gets a signal: P for the program, L for the library, '-' for nobody. First for a signal
 * that the process sends to its thread, then for one from outside. */
static const char *receivers(void) {
  static char result[3];
  recorded.calls = 0;
  saw();
  pthread_kill(pthread_self(), FIRST);
  result[0] = recorded.calls == 1 && on_own_stack() ? 'P' : '-';
  if (saw().calls != 0) result[0] = 'L';
  recorded.calls = 0;
  send_from_outside();
  result[1] = recorded.calls == 1 ? 'P' : '-';
  return result;
}

static const char *receivers_and_library(struct RivalRecord *library) {
  static char result[3];
  memcpy(result, receivers(), sizeof result);
  *library = saw();
  if (library->calls == 1) result[1] = result[1] == 'P' ? '2' : 'L';
  return result;
}

static bool gets(const char *wanted) {
  struct RivalRecord library;
  return strcmp(receivers_and_library(&library), wanted) == 0;
}

static bool is_shared(void) { return stats().shared >> (FIRST - 1) & 1; }

static void by_sigaction(void) {
  struct sigaction old, now;
  struct RivalRecord library;
  uint64_t entry = raw(FIRST).handler, blocked = 0;
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, &old);
  expect(raw(FIRST).handler == entry && is_shared() && old.sa_sigaction == note,
         "a library takes a signal: the entry stays, the signal is shared, the old handler told");
  const char *result = receivers_and_library(&library);
  expect(strcmp(result, "PL") == 0,
         "the program gets what the process sends, the library all else");
  uint64_t others = 1 << (SIGTERM - 1) | UINT64_C(1) << (SECOND - 1);
  expect(library.number == FIRST && library.code == SI_USER && library.on_alternate &&
             (library.blocked & others) == others,
         "the library's handler runs on the alternate stack with its mask");
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, 8);
  expect(blocked == 0, "and the mask is as it was afterwards");
  sigaction(FIRST, NULL, &now);
  expect(now.sa_sigaction != note, "who asks is told the library's handler");
  puts_back(FIRST, &old);
  expect(!is_shared() && gets("PP"), "the library puts the old handler back");
  takes(FIRST, RIVAL_HANDLES, 0, NULL);
  receivers_and_library(&library);
  expect(library.calls == 1 && !library.on_alternate,
         "a library's handler for the own stack gets it");
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK | SA_NODEFER, NULL);
  expect(gets("PL"), "one that does not block itself");
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK | SA_RESETHAND, NULL);
  expect(gets("PL") && gets("PP"), "one that is for once is called once");
  takes(FIRST, RIVAL_IGNORES, 0, NULL);
  sigaction(FIRST, NULL, &now);
  expect(gets("P-") && is_shared() && now.sa_handler == SIG_IGN, "a library ignores a signal");
  takes(FIRST, RIVAL_DEFAULTS, 0, NULL);
  expect(gets("PP") && !is_shared(),
         "a library resets a signal to the default: the program has it");
  takes(FIRST, RIVAL_IGNORES, 0, NULL);
  set(FIRST, note, SA_SIGINFO, NULL);
  expect(gets("PP") && !is_shared(), "the program sets its handler again: it alone has it");
}

static void past_the_guard(void) {
  uint64_t restored = stats().restored, entry = raw(FIRST).handler;
  takes_raw(FIRST, RIVAL_HANDLES);
  expect(raw(FIRST).handler != entry && stats().lost >> (FIRST - 1) & 1 &&
             stats().reason == GUARD_LOST,
         "taken by a bare system call: the guard says that the handler is lost");
  expect(gets("PL"), "the next signal to a thread puts it back, and the library has its share");
  expect(stats().lost == 0 && stats().restored == restored + 1 && stats().reason == GUARD_INSTALLED,
         "and the guard says so");
  takes_raw(FIRST, RIVAL_IGNORES);
  expect(gets("P-"), "ignored by a bare system call");
  takes_raw(FIRST, RIVAL_DEFAULTS);
  expect(gets("PP"), "reset by a bare system call");
  ignores(FIRST);
  expect(gets("P-"), "ignored by signal()");
  takes_raw(FIRST, RIVAL_HANDLES);
  install();
  expect(raw(FIRST).handler == entry && is_shared(), "GuardInstall puts it back too");
  struct sigaction old;
  takes_raw(FIRST, RIVAL_IGNORES);
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, &old);
  expect(old.sa_handler == SIG_IGN && gets("PL"), "taken in both ways one after the other");
}

static void forwarded(void) {
  Handler *entry = (Handler *)(uintptr_t)raw(FIRST).handler;
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, NULL);
  forwards(entry);
  recorded.calls = 0;
  send_from_outside();
  expect(recorded.calls == 1 && saw().calls == 1,
         "a library that forwards to the entry calls the program's");
  forwards(NULL);
}

static sem_t answer;
static volatile bool is_suspended;

/* As JavaScriptCore's handler: the first signal suspends the thread, the next one resumes it. */
static void suspend(int number, siginfo_t *info, void *context) {
  (void)info;
  (void)context;
  sigset_t all_others;
  if (is_suspended) return;
  is_suspended = true;
  sem_post(&answer);
  sigfillset(&all_others);
  sigdelset(&all_others, number);
  sigsuspend(&all_others);
  is_suspended = false;
  sem_post(&answer);
}

static atomic_bool may_end;

static void *run_until_told(void *unused) {
  stack_t stack = {.ss_sp = mapped(ALTERNATE_BYTES), .ss_size = ALTERNATE_BYTES};
  sigaltstack(&stack, NULL);
  sem_post(&answer);
  while (!may_end) sched_yield();
  return unused;
}

static bool is_answered(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += 5;
  return sem_timedwait(&answer, &until) == 0;
}

/* Waits for the library's handler, at most five seconds. */
static int calls_of_library(void) {
  int calls = 0;
  for (int tries = 0; tries < 500 && calls == 0; tries++) {
    usleep(10000);
    calls = saw().calls;
  }
  return calls;
}

/* The library stops the program's threads with the same signal, as Boehm's collector does. */
static void sent_by_the_library(void) {
  pthread_t thread;
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, NULL);
  recorded.calls = 0;
  saw();
  sends(pthread_self(), FIRST);
  expect(recorded.calls == 0 && saw().calls == 1,
         "the library gets what it sends to a thread itself");
  expect(gets("PL"), "and the program what the program sends");
  set(FIRST, suspend, SA_SIGINFO, NULL);
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, NULL);
  sem_init(&answer, 0, 0);
  pthread_create(&thread, NULL, run_until_told, NULL);
  bool answered = is_answered();
  pthread_kill(thread, FIRST);
  expect(answered && is_answered() && is_suspended, "the program suspends a thread");
  sends(thread, FIRST);
  usleep(20000);
  expect(is_suspended && saw().calls == 0, "the library's signal does not wake it");
  pthread_kill(thread, FIRST);
  expect(is_answered() && !is_suspended, "the program's next signal does");
  expect(calls_of_library() == 1, "then the library gets its signal, once");
  may_end = true;
  pthread_join(thread, NULL);
  set(FIRST, note, SA_SIGINFO, NULL);
}

static void in_a_child_of_vfork(void) {
  struct sigaction old;
  pid_t child = vfork();
  if (child == 0) {
    takes(FIRST, RIVAL_DEFAULTS, 0, &old);
    _exit(raw(FIRST).handler == 0 ? 7 : 8);
  }
  expect(in_child(child) == 7 && is_shared() && gets("PL"),
         "a child of vfork changes its own action alone");
}

static void without_what_it_needs(void) {
  stack_t kept;
  sigset_t held, before;
  sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, &kept);
  expect(gets("PL"), "a thread whose alternate stack was removed");
  sigaltstack(&kept, NULL);
  sigfillset(&held);
  sigprocmask(SIG_BLOCK, &held, &before);
  recorded.calls = 0;
  pthread_kill(pthread_self(), FIRST);
  bool waited = recorded.calls == 0;
  sigprocmask(SIG_SETMASK, &before, NULL);
  expect(waited && recorded.calls == 1,
         "a thread that blocks the signal gets it when it unblocks it");
}

/* Go adds the flag to handlers that get no siginfo, too. */
static void of_a_collector(void) {
  struct sigaction now;
  takes(UNUSED, RIVAL_COLLECTS, 0, NULL);
  sigaction(UNUSED, NULL, &now);
  expect(guarded(UNUSED) && !(now.sa_flags & SA_SIGINFO),
         "a library's handler without siginfo is guarded, and it sees its own flags");
  now.sa_flags |= SA_ONSTACK;
  puts_back(UNUSED, &now);
  raise(UNUSED);
  struct RivalRecord library = saw();
  expect(library.calls == 1 && library.number == UNUSED && !library.on_alternate,
         "it runs on the thread's own stack after SA_ONSTACK was added to it");
  takes(UNUSED, RIVAL_DEFAULTS, 0, NULL);
}

static struct GuardStats read_another(void) {
  struct GuardStats other = {.size = sizeof other};
  stats_of_another(&other);
  return other;
}

static void beside_another_guard(void) {
  install_another();
  expect(read_another().shared == stats().shared && gets("PL"), "another guard knows of it");
  takes_raw(FIRST, RIVAL_HANDLES);
  expect(read_another().lost >> (FIRST - 1) & 1 && read_another().reason == GUARD_LOST,
         "another guard reports that the first one's handler is lost");
  expect(gets("PL") && stats().lost == 0 && read_another().lost == 0 &&
             read_another().reason == GUARD_BY_ANOTHER,
         "and that the first one has put it back");
}

/* An entry as guards before sharing made them: of it, another guard reads the mark and the slot. */
static void set_older_entry(int number) {
  enum { MARK_AT = 8, DISTANCE_AT = 16, SLOT_AT = 128 };
  static const uint64_t mark = UINT64_C(0x3164726175476f47);
  char *page = mapped(4096);
  int64_t distance = SLOT_AT - DISTANCE_AT;
  uint64_t slot[8] = {(uintptr_t)note, SA_SIGINFO, 0, 2};
  memcpy(page + MARK_AT, &mark, sizeof mark);
  memcpy(page + DISTANCE_AT, &distance, sizeof distance);
  memcpy(page + SLOT_AT, slot, sizeof slot);
  Raw now = raw(FIRST);
  now.handler = (uintptr_t)page;
  syscall(SYS_rt_sigaction, number, &now, NULL, 8);
}

static void an_older_guard(void) {
  set_older_entry(FIRST);
  set_older_entry(UNUSED);
  expect(!guarded(FIRST) && install() > 0 && guarded(FIRST) && guarded(UNUSED),
         "an older guard's entries are replaced");
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, NULL);
  expect(gets("PL"), "and their signals shared");
  signal(UNUSED, SIG_DFL);
}

void signals_are_shared(const char *library) {
  void *rival = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  expect(rival != NULL, "a library that takes signals");
  if (rival == NULL) return;
  takes = (RivalTakesFunction *)dlsym(rival, "RivalTakes");
  puts_back = (RivalPutsBackFunction *)dlsym(rival, "RivalPutsBack");
  takes_raw = (RivalTakesRawFunction *)dlsym(rival, "RivalTakesRaw");
  sends = (RivalSendsFunction *)dlsym(rival, "RivalSends");
  ignores = (RivalIgnoresFunction *)dlsym(rival, "RivalIgnores");
  forwards = (RivalForwardsFunction *)dlsym(rival, "RivalForwards");
  saw = (RivalRecordFunction *)dlsym(rival, "RivalSaw");
  set(FIRST, note, SA_SIGINFO, NULL);
  by_sigaction();
  past_the_guard();
  forwarded();
  sent_by_the_library();
  takes(FIRST, RIVAL_HANDLES, SA_ONSTACK, NULL);
  in_a_child_of_vfork();
  without_what_it_needs();
  of_a_collector();
  beside_another_guard();
  an_older_guard();
  uint64_t entry = raw(FIRST).handler;
  remove_another();
  removed();
  expect(raw(FIRST).handler != entry && raw(FIRST).handler != (uintptr_t)note,
         "GuardRemove leaves the library's handler, as it would be without the guard");
  set(FIRST, note, SA_SIGINFO, NULL);
  install();
}
