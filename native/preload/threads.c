/* `stack8m`, `sigmask` and `sigmask-keep`: change how threads are made. */
#define _GNU_SOURCE
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { ENOUGH = 8 << 20 };

typedef int Create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int Defaults(pthread_attr_t *);

typedef struct {
  void *(*start)(void *);
  void *data;
  sigset_t mask;
} Beginning;

/* Attributes that replace the caller's, which stay unchanged. */
typedef struct {
  pthread_attr_t attr;
  bool owned;
} Wider;

static _Atomic(Create *) next_create;

static Create *next(void) {
  Create *function = atomic_load(&next_create);
  if (function == NULL) {
    function = (Create *)dlsym(RTLD_NEXT, "pthread_create");
    atomic_store(&next_create, function);
  }
  return function;
}

/* Returns the attributes for a new thread: the caller's own if they need no change. */
static const pthread_attr_t *widened(const pthread_attr_t *attr, Wider *wider) {
  size_t size;
  wider->owned = false;
  if (attr != NULL) {
    void *lowest;
    /* Without a stack by the caller musl returns an error, and glibc an address whose top is zero. */
    bool supplied =
        pthread_attr_getstack(attr, &lowest, &size) == 0 && (uintptr_t)lowest + size != 0;
    if (supplied) return attr;
    if (pthread_attr_getstacksize(attr, &size) != 0 || size >= ENOUGH) return attr;
    /* A plain copy shares the data behind the attributes, so it is never destroyed. */
    wider->attr = *attr;
  } else {
    /* Since glibc 2.18 a program can set the meaning of NULL. */
    Defaults *defaults = (Defaults *)dlsym(RTLD_DEFAULT, "pthread_getattr_default_np");
    if ((defaults != NULL ? defaults : pthread_attr_init)(&wider->attr) != 0) return attr;
    wider->owned = true;
    if (pthread_attr_getstacksize(&wider->attr, &size) != 0 || size >= ENOUGH) return attr;
  }
  if (pthread_attr_setstacksize(&wider->attr, ENOUGH) != 0) return attr;
  preload_note("gives a thread 8 MiB of stack; requested bytes: ", size);
  return &wider->attr;
}

/* All signals are still blocked here, as they are when a thread of the patched pool begins. */
static void *begin(void *data) {
  Beginning beginning = *(Beginning *)data;
  free(data);
  pthread_sigmask(SIG_SETMASK, &beginning.mask, NULL);
  return beginning.start(beginning.data);
}

static int create_masked(bool keep, pthread_t *thread, const pthread_attr_t *attr,
                         void *(*start)(void *), void *data) {
  Beginning *beginning = keep ? NULL : malloc(sizeof *beginning);
  if (!keep && beginning == NULL) return EAGAIN;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int failed;
  if (keep) {
    failed = next()(thread, attr, start, data);
  } else {
    *beginning = (Beginning){start, data, before};
    failed = next()(thread, attr, begin, beginning);
    if (failed) free(beginning);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *data) {
  unsigned actions = preload_chosen();
  if (next() == NULL) return EAGAIN;
  Wider wider = {.owned = false};
  const pthread_attr_t *attributes = actions & STACK8M ? widened(attr, &wider) : attr;
  int failed = actions & (SIGMASK | SIGMASK_KEEP)
                   ? create_masked(actions & SIGMASK_KEEP, thread, attributes, start, data)
                   : next()(thread, attributes, start, data);
  if (wider.owned) pthread_attr_destroy(&wider.attr);
  return failed;
}

__attribute__((constructor)) static void find_next(void) { next(); }
