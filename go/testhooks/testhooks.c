/* The C part of the test hooks, the same in every module: native/c_fixture compiles this file
 * too. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#ifndef __APPLE__
#include <sys/resource.h>
#include <sys/syscall.h>
#endif

enum { PAGE = 4096, DOES_NOT_FIT = -2, ROOM_BELOW = 256 << 10, MOST_STACK = 64 << 20 };

extern int32_t Run(void);

__attribute__((visibility("hidden"))) void gobun_sleep(int32_t ms) {
  usleep((useconds_t)ms * 1000);
}

__attribute__((visibility("hidden"))) void gobun_call(void *function, void *data) {
  ((void (*)(void *))function)(data);
}

#ifndef __APPLE__
/* Returns the size of this thread's stack, of which the C library reports `size`. musl reports only
 * the part of the main thread's stack that is in use, but the kernel adds pages up to the limit. */
static size_t whole_stack(size_t size) {
  struct rlimit limit;
  if (syscall(SYS_gettid) != getpid() || getrlimit(RLIMIT_STACK, &limit) != 0) return size;
  size_t most = limit.rlim_cur < MOST_STACK ? (size_t)limit.rlim_cur : MOST_STACK;
  return size > most ? size : most;
}
#endif

/* The bytes of this thread's stack below the caller. */
static size_t stack_left(void) {
  char here;
#ifdef __APPLE__
  char *top = pthread_get_stackaddr_np(pthread_self());
  char *bottom = top - pthread_get_stacksize_np(pthread_self());
#else
  pthread_attr_t attributes;
  void *start;
  size_t size;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
  pthread_attr_getstack(&attributes, &start, &size);
  pthread_attr_destroy(&attributes);
  char *bottom = (char *)start + size - whole_stack(size);
#endif
  return &here > bottom ? (size_t)(&here - bottom) : 0;
}

__attribute__((noinline)) static int32_t run_below(size_t bytes) {
  volatile char *frame = alloca(bytes);
  /* From the top down, in the direction in which a stack grows. */
  for (size_t at = bytes; at > 0; at -= at > PAGE ? PAGE : at) frame[at - 1] = 1;
  int32_t result = Run();
  return frame[bytes - 1] == 1 ? result : -1;
}

/* Calls Run() below a C frame of `bytes`, and touches each page of the frame first. Returns what
 * Run() returns, or -2 if this thread's stack is too small. */
__attribute__((visibility("default"))) int32_t DeepStack(int32_t bytes) {
  size_t wanted = bytes > 0 ? (size_t)bytes : 1;
  return stack_left() < wanted + ROOM_BELOW ? DOES_NOT_FIT : run_below(wanted);
}
