/* preloaded: tells what a program sees of its own threads and handlers, a line each: NAME VALUE….
 *
 *   thread NAME STACK_KIB GUARD_KIB DETACHED BLOCKED   of a thread, as it begins; the stack to 64 KiB
 *   attributes STACK_KIB GUARD_KIB                     the caller's, after a thread was made of them
 *   creator BLOCKED                                    the maker of the threads, afterwards
 *   handler NAME PLACE FLAGS                           where one ran; flags as sigaction tells them
 *   replaced NAME                                      what signal() and sigaction() told of before
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KIB = 1024, MIB = KIB * KIB, STEP = 64 * KIB };

static sem_t told;

static int blocked(void) {
  sigset_t mask;
  int count = 0;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  for (int number = 1; number < 65; number++) count += sigismember(&mask, number) == 1;
  return count;
}

static void *tell(void *name) {
  pthread_attr_t attr;
  void *lowest;
  size_t size, guard;
  int detached;
  pthread_getattr_np(pthread_self(), &attr);
  pthread_attr_getstack(&attr, &lowest, &size);
  pthread_attr_getguardsize(&attr, &guard);
  pthread_attr_getdetachstate(&attr, &detached);
  /* musl counts its own record of the thread too. */
  size_t stack = (size + STEP / 2) / STEP * STEP;
  printf("thread %s %zu %zu %d %d\n", (char *)name, stack / KIB, guard / KIB,
         detached == PTHREAD_CREATE_DETACHED, blocked());
  fflush(stdout);
  sem_post(&told);
  pthread_attr_destroy(&attr);
  return name;
}

static void make(const char *name, pthread_attr_t *attr, int joinable) {
  pthread_t thread;
  void *result = NULL;
  if (pthread_create(&thread, attr, tell, (void *)name) != 0) {
    printf("thread %s none\n", name);
    return;
  }
  sem_wait(&told);
  if (joinable) pthread_join(thread, &result);
  if (joinable && result != name) printf("thread %s gave something else\n", name);
}

static void threads(void) {
  pthread_attr_t attr;
  size_t size, guard;
  /* The smallest first: libc keeps the stacks of threads that ended, and gives small ones a large
   * one. */
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 4 * MIB);
  pthread_attr_setguardsize(&attr, 64 * KIB);
  make("small", &attr, 1);
  pthread_attr_getstacksize(&attr, &size);
  pthread_attr_getguardsize(&attr, &guard);
  printf("attributes %zu %zu\n", size / KIB, guard / KIB);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  make("detached", &attr, 0);
  pthread_attr_destroy(&attr);

  make("default", NULL, 1);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 16 * MIB);
  make("large", &attr, 1);
  pthread_attr_destroy(&attr);

  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, aligned_alloc(64 * KIB, MIB), MIB);
  make("own", &attr, 1);
  pthread_attr_destroy(&attr);

  printf("creator %d\n", blocked());
}

static char alternate[256 * KIB];
static const char *place;
static int told_of;

static void handle(int number, siginfo_t *info, void *context) {
  char here;
  uintptr_t offset = (uintptr_t)&here - (uintptr_t)alternate;
  place = offset < sizeof alternate ? "alternate" : "own";
  told_of = info->si_signo == number && context != NULL;
}

static void plain(int number) { (void)number; }

static void install(int number, int flags) {
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = flags};
  sigaction(number, &action, NULL);
}

static void ask(const char *name, int number) {
  struct sigaction now;
  place = "nowhere";
  told_of = 0;
  raise(number);
  sigaction(number, NULL, &now);
  printf("handler %s %s%s%s%s%s%s\n", name, place, told_of ? "" : " not-told",
         now.sa_sigaction == handle ? "" : " another-function",
         now.sa_flags & SA_ONSTACK ? " on-stack" : "",
         now.sa_flags & SA_SIGINFO ? " with-info" : "",
         now.sa_flags & SA_RESTART ? " restarts" : "");
  fflush(stdout);
}

/* As a Go runtime does to each handler that it finds. */
static void add_flag(int number) {
  struct sigaction found;
  sigaction(number, NULL, &found);
  found.sa_flags |= SA_ONSTACK;
  sigaction(number, &found, NULL);
}

static void handlers(void) {
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  install(SIGPWR, SA_SIGINFO | SA_RESTART);
  ask("plain", SIGPWR);
  add_flag(SIGPWR);
  ask("flagged", SIGPWR);
  install(SIGUSR1, SA_SIGINFO | SA_ONSTACK);
  ask("asked-for", SIGUSR1);
  install(SIGSEGV, SA_SIGINFO);
  add_flag(SIGSEGV);
  ask("fault", SIGSEGV);

  pid_t child = vfork();
  if (child == 0) {
    struct sigaction nothing = {.sa_handler = SIG_DFL};
    sigaction(SIGPWR, &nothing, NULL);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  ask("after-vfork", SIGPWR);
  child = fork();
  if (child == 0) {
    ask("in-fork", SIGPWR);
    _exit(0);
  }
  waitpid(child, NULL, 0);

  struct sigaction before, action = {.sa_handler = plain};
  sigaction(SIGPWR, &action, &before);
  printf("replaced %s\n", before.sa_sigaction == handle ? "ours" : "another");
  install(SIGPWR, SA_SIGINFO);
  printf("replaced %s\n", (void *)signal(SIGPWR, plain) == (void *)handle ? "ours" : "another");
  printf("replaced %s\n", signal(SIGPWR, SIG_IGN) == plain ? "ours" : "another");
  printf("replaced %s\n", signal(SIGPWR, SIG_DFL) == SIG_IGN ? "ours" : "another");
  printf("replaced %s\n", signal(1000, SIG_DFL) == SIG_ERR ? "error" : "another");
}

int main(void) {
  sem_init(&told, 0, 0);
  threads();
  handlers();
  return 0;
}
