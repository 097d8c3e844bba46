/* load_order LIBRARY: loads it, calls Run(), and prints what Run() returned, whether the guard was
 * installed when the library started its first thread (which is how Go's runtime begins), and whether
 * it is now. Links with -rdynamic, so that the library's call of pthread_create comes here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
  void *handler;
  unsigned long flags;
  void *restorer;
  unsigned long mask;
} KernelAction;

static const char *first_thread = "never";

static void suspend(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  (void)context;
}

static int is_guarded(void) {
  KernelAction now;
  syscall(SYS_rt_sigaction, SIGPWR, NULL, &now, sizeof now.mask);
  return now.handler != (void *)suspend;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
  int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (strcmp(first_thread, "never") == 0) first_thread = is_guarded() ? "guarded" : "unguarded";
  return real(thread, attributes, start, argument);
}

int main(int count, char **words) {
  struct sigaction action = {.sa_sigaction = suspend, .sa_flags = SA_SIGINFO};
  sigaction(SIGPWR, &action, NULL);
  void *library = dlopen(words[count - 1], RTLD_NOW);
  if (library == NULL) {
    puts(dlerror());
    return 1;
  }
  int (*run)(void);
  *(void **)&run = dlsym(library, "Run");
  if (run == NULL) return 2;
  printf("%d %s %s\n", run(), first_thread, is_guarded() ? "guarded" : "unguarded");
  fflush(stdout);
  _exit(0);
}
