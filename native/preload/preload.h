/* Declarations that the files of go-guard-preload share. GO_GUARD_PRELOAD chooses its actions. */
#ifndef GO_GUARD_PRELOAD_H
#define GO_GUARD_PRELOAD_H

#include <stdbool.h>

#define EXPORT __attribute__((visibility("default")))

enum {
  STACK8M = 1,
  SIGMASK = 2,
  SIGMASK_KEEP = 4,
  SUSPEND = 8,
};

/* The chosen actions. Constructors of other libraries need them before this library's own
 * constructor runs. */
unsigned preload_chosen(void);

/* Whether GO_GUARD_DEBUG=1 is set. */
bool preload_loud(void);

/* With GO_GUARD_DEBUG=1, prints a text that ends in a number to stderr. It makes no call that
 * may lock. */
void preload_note(const char *text, unsigned long number);

#endif
