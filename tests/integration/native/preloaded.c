/* preloaded: prints what a program sees of its own threads and handlers, one fact a line.
 *
 *   thread NAME STACK_KIB GUARD_KIB DETACHED BLOCKED   a new thread; its stack is rounded to 64 KiB
 *   attributes STACK_KIB GUARD_KIB                     the caller's, after they created a thread
 *   creator BLOCKED                                    the thread that created the others
 *   handler NAME PLACE FLAGS                           the stack it ran on, and flags of sigaction
 *   replaced NAME                                      the handler that signal() or sigaction() returned
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

static sem_t printed;

static int blocked_count(void) {
  sigset_t mask;
  int count = 0;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  for (int number = 1; number < 65; number++) count += sigismember(&mask, number) == 1;
  return count;
}

static void *print_thread(void *name) {
  pthread_attr_t attr;
  void *lowest;
  size_t size, guard;
  int detached;
  pthread_getattr_np(pthread_self(), &attr);
  pthread_attr_getstack(&attr, &lowest, &size);
  pthread_attr_getguardsize(&attr, &guard);
  pthread_attr_getdetachstate(&attr, &detached);
  /* musl adds its own record of the thread to the size. */
  size_t stack = (size + STEP / 2) / STEP * STEP;
  printf("thread %s %zu %zu %d %d\n", (char *)name, stack / KIB, guard / KIB,
         detached == PTHREAD_CREATE_DETACHED, blocked_count());
  fflush(stdout);
  sem_post(&printed);
  pthread_attr_destroy(&attr);
  return name;
}

static void run_thread(const char *name, pthread_attr_t *attr, int joinable) {
  pthread_t thread;
  void *result = NULL;
  if (pthread_create(&thread, attr, print_thread, (void *)name) != 0) {
    printf("thread %s none\n", name);
    return;
  }
  sem_wait(&printed);
  if (joinable) pthread_join(thread, &result);
  if (joinable && result != name) printf("thread %s gave something else\n", name);
}

static void print_threads(void) {
  pthread_attr_t attr;
  size_t size, guard;
  /* The smallest first: libc keeps the stacks of threads that ended, and reuses a large one for a
   * small request. */
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 4 * MIB);
  pthread_attr_setguardsize(&attr, 64 * KIB);
  run_thread("small", &attr, 1);
  pthread_attr_getstacksize(&attr, &size);
  pthread_attr_getguardsize(&attr, &guard);
  printf("attributes %zu %zu\n", size / KIB, guard / KIB);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  run_thread("detached", &attr, 0);
  pthread_attr_destroy(&attr);

  run_thread("default", NULL, 1);
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 16 * MIB);
  run_thread("large", &attr, 1);
  pthread_attr_destroy(&attr);

  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, aligned_alloc(64 * KIB, MIB), MIB);
  run_thread("own", &attr, 1);
  pthread_attr_destroy(&attr);

  printf("creator %d\n", blocked_count());
}

static char alternate[256 * KIB];
static const char *stack_used;
static int has_info;

static void handle(int number, siginfo_t *info, void *context) {
  char here;
  uintptr_t offset = (uintptr_t)&here - (uintptr_t)alternate;
  stack_used = offset < sizeof alternate ? "alternate" : "own";
  has_info = info->si_signo == number && context != NULL;
}

static void plain(int number) { (void)number; }

static void install(int number, int flags) {
  struct sigaction action = {.sa_sigaction = handle, .sa_flags = flags};
  sigaction(number, &action, NULL);
}

static void raise_and_print(const char *name, int number) {
  struct sigaction now;
  stack_used = "nowhere";
  has_info = 0;
  raise(number);
  sigaction(number, NULL, &now);
  printf("handler %s %s%s%s%s%s%s\n", name, stack_used, has_info ? "" : " without-info",
         now.sa_sigaction == handle ? "" : " another-function",
         now.sa_flags & SA_ONSTACK ? " on-stack" : "",
         now.sa_flags & SA_SIGINFO ? " with-info" : "",
         now.sa_flags & SA_RESTART ? " restarts" : "");
  fflush(stdout);
}

/* Adds the flag that a Go runtime adds to each handler it finds. */
static void add_flag(int number) {
  struct sigaction found;
  sigaction(number, NULL, &found);
  found.sa_flags |= SA_ONSTACK;
  sigaction(number, &found, NULL);
}

static void print_handlers(void) {
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  install(SIGPWR, SA_SIGINFO | SA_RESTART);
  raise_and_print("plain", SIGPWR);
  add_flag(SIGPWR);
  raise_and_print("flagged", SIGPWR);
  install(SIGUSR1, SA_SIGINFO | SA_ONSTACK);
  raise_and_print("asked-for", SIGUSR1);
  install(SIGSEGV, SA_SIGINFO);
  add_flag(SIGSEGV);
  raise_and_print("fault", SIGSEGV);

  pid_t child = vfork();
  if (child == 0) {
    struct sigaction nothing = {.sa_handler = SIG_DFL};
    sigaction(SIGPWR, &nothing, NULL);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  raise_and_print("after-vfork", SIGPWR);
  child = fork();
  if (child == 0) {
    raise_and_print("in-fork", SIGPWR);
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
  sem_init(&printed, 0, 0);
  print_threads();
  print_handlers();
  return 0;
}
