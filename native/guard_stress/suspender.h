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

/* How many signals were sent to suspend. */
extern unsigned long tries;

uint64_t now_ns(void);

/* Installs the handler; once, before any Go is there. */
bool prepare_suspending(int number);

/* Whether the thread stands still within the limit. */
bool suspend(Subject *subject);
void resume(Subject *subject);

/* What is known of a thread that stands still must not change, whatever else is going on. */
void examine(const Subject *subject, unsigned turns);

/* Notes that something was changed that must not be; the caller of all this has it. */
void changed(const char *what);

#endif
