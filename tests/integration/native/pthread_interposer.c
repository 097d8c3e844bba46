/* Preloaded after another library: prints how many signals are blocked at each pthread_create(). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

typedef int Create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                   void *data) {
  sigset_t mask;
  int blocked = 0;
  pthread_sigmask(SIG_SETMASK, NULL, &mask);
  for (int number = 1; number < 65; number++) blocked += sigismember(&mask, number) == 1;
  fprintf(stderr, "made %d\n", blocked);
  return ((Create *)dlsym(RTLD_NEXT, "pthread_create"))(thread, attr, start, data);
}
