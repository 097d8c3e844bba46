#ifndef TORTURE_SUSPENDING_H
#define TORTURE_SUSPENDING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

/* A thread that can be suspended, and its stack. */
typedef struct {
  pthread_t id;
  uintptr_t low, high;
  _Atomic(ucontext_t *) context; /* of the moment at which it was suspended */
  atomic_int suspended;
} Subject;

/* How many signals were sent to suspend threads. */
extern unsigned long tries;

uint64_t now_ns(void);

/* Installs the handler. Call it once, before Go is there. */
bool prepare_suspending(int number);

/* Whether the thread stops within the limit. */
bool suspend(Subject *subject);
void resume(Subject *subject);

/* The recorded state of a stopped thread must not change, whatever else happens. */
void examine(const Subject *subject, unsigned turns);

/* Records a change that must not happen. The caller defines it. */
void changed(const char *what);

#endif
