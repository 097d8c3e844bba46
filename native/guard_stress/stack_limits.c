/* Where stacks end, and faults that end a process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "assertions.h"

char *mapped(size_t bytes) {
  return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
}

static int killed_by(pid_t child) {
  int status;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

typedef int Sigaction(int, const struct sigaction *, struct sigaction *);
static struct sigaction taken_over;

static void hand_on(int number, siginfo_t *info, void *context) {
  taken_over.sa_sigaction(number, info, context);
}

/* As Go does, whose library is loaded later: takes over a fault, and calls the previous handler. */
static void take_over(int number) {
  Sigaction *of_libc = (Sigaction *)dlsym(RTLD_DEFAULT, "sigaction");
  struct sigaction action = {.sa_sigaction = hand_on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  of_libc(number, &action, &taken_over);
}

void handlers_for_once(void) {
  volatile int *volatile nowhere = NULL;
  struct sigaction old;
  pid_t child = fork();
  if (child == 0) {
    set(SIGSEGV, note, SA_SIGINFO | SA_RESETHAND, NULL);
    take_over(SIGSEGV);
    alarm(5);
    _exit(*nowhere);
  }
  expect(killed_by(child) == SIGSEGV,
         "a fault's handler that is for once is called once, handed on too");
  uint64_t before = stats().signals;
  set(SIGSEGV, note, SA_SIGINFO | SA_RESETHAND, NULL);
  uint64_t entry = raw(SIGSEGV).handler;
  expect(stats().signals == before && entry != (uintptr_t)note, "it is not counted as guarded");
  sigaction(SIGSEGV, NULL, &old);
  signal(SIGSEGV, SIG_IGN);
  sigaction(SIGSEGV, &old, NULL);
  expect(
      raw(SIGSEGV).handler == entry && !(old.sa_flags & SA_ONSTACK) && old.sa_flags & SA_RESETHAND,
      "and what is told of it can be put back");
  signal(SIGSEGV, SIG_DFL);
}

/* Sends the thread a signal 6 KiB above `low`. */
static __attribute__((noinline)) void raise_above(const char *low) {
  size_t used = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)low - (6 << 10);
  volatile char *fill = __builtin_alloca(used);
  fill[0] = fill[used - 1] = 1;
  raise(FIRST);
  fill[0] = 2; /* no tail call */
}

/* A thread's end, and its alternate stack. */
typedef struct {
  char *low, *alternate;
} End;

static void *raise_at_the_end(void *data) {
  End end = *(End *)data;
  pthread_attr_t attributes;
  size_t size;
  void *low;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  sigaltstack(&(stack_t){.ss_sp = end.alternate, .ss_size = ALTERNATE_BYTES}, NULL);
  raise_above(end.low ? end.low : low);
  sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
  return NULL;
}

/* Whether the handler is called on the alternate stack at the end of a thread's stack: `own`, or
 * libc's if that is NULL. */
static bool tight_in_thread(char *own, size_t bytes, End end) {
  pthread_attr_t attributes;
  pthread_t thread;
  uint64_t before = stats().tight;
  pthread_attr_init(&attributes);
  if (own) pthread_attr_setstack(&attributes, own, bytes);
  else pthread_attr_setstacksize(&attributes, bytes);
  pthread_create(&thread, &attributes, raise_at_the_end, &end);
  pthread_join(thread, NULL);
  pthread_attr_destroy(&attributes);
  return stats().tight == before + 1 && recorded.sp - (uintptr_t)end.alternate < ALTERNATE_BYTES;
}

void at_the_end(void) {
  enum { BYTES = 8 * ALTERNATE_BYTES, ADVICE_GUARD = 102 };
  char *apart = malloc(ALTERNATE_BYTES), *own = mapped(BYTES);
  expect(tight_in_thread(NULL, BYTES, (End){NULL, apart}),
         "where the own stack has no room left, it is called on the alternate one");
  expect(tight_in_thread(own, BYTES, (End){own + ALTERNATE_BYTES, own}),
         "and where the alternate stack is the end of the own");
  /* As glibc 2.42 and later make threads, if the kernel is 6.13 or later. */
  char *joined = mapped(2 * BYTES), *page = joined + BYTES - 4096;
  if (madvise(page, 4096, ADVICE_GUARD) == 0 && access(page, F_OK) == -1 && errno == EFAULT) {
    expect(tight_in_thread(joined + BYTES, BYTES, (End){NULL, apart}),
           "and where the guard page is no mapping of its own");
  }
  mapped(64 << 20); /* with mappings that go up, what comes later is nearer to the main stack */
  char *later = mapped(2 * BYTES);
  mprotect(later, BYTES, PROT_NONE);
  expect(tight_in_thread(later + BYTES, BYTES, (End){NULL, apart}), "and in a thread made later");
  free(apart);
}

/* In a child, because it may not survive. musl reports the used part of the main stack, not its
 * limit. */
void at_the_limit(void) {
#ifdef __GLIBC__
  struct rlimit limit = {.rlim_cur = 1 << 20};
  getrlimit(RLIMIT_STACK, &limit);
  if (limit.rlim_cur > 1 << 20) limit.rlim_cur = 1 << 20;
  pid_t child = fork();
  if (child == 0) {
    pthread_attr_t attributes;
    size_t size;
    void *low;
    uint64_t before = stats().tight;
    setrlimit(RLIMIT_STACK, &limit);
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    raise_above(low);
    _exit(stats().tight == before + 1 && on_alternate((void *)recorded.sp) ? 7 : 8);
  }
  expect(in_child(child) == 7, "and where the main stack reaches its limit");
#endif
}
