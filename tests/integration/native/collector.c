/* Boehm's collector in a process of another engine. It stops all registered threads with a signal,
 * and takes the address of a variable in its handler as the end of the thread's stack. */
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Declared here, because Debian's header is in a package of its own. */
extern void GC_set_suspend_signal(int signal);
extern void GC_init(void);
extern void *GC_malloc(size_t bytes);
extern void GC_gcollect(void);
extern size_t GC_get_gc_no(void);
extern int GC_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

enum { LINKS = 2000, LINK_BYTES = 64, PAUSE_US = 500 };

/* A list that only this thread's stack refers to. Ends the process if the collector frees it. */
static void make_list(void) {
  void **first = NULL;
  for (int i = 0; i < LINKS; i++) {
    void **link = GC_malloc(LINK_BYTES);
    *link = first;
    first = link;
  }
  int count = 0;
  for (void **link = first; link != NULL; link = *link) count++;
  if (count != LINKS) abort();
}

static void *collect_for_ever(void *unused) {
  (void)unused;
  for (;;) {
    make_list();
    GC_gcollect();
    usleep(PAUSE_US);
  }
  return NULL;
}

/* Registers the calling thread, and starts a thread that stops it again and again. `signal` is 0
 * for the collector's own choice, SIGPWR. */
int CollectorStart(int signal) {
  pthread_t thread;
  if (signal != 0) GC_set_suspend_signal(signal);
  GC_init();
  return GC_pthread_create(&thread, NULL, collect_for_ever, NULL);
}

/* Returns the number of collections so far. */
int CollectorRuns(void) {
  make_list();
  return (int)GC_get_gc_no();
}
