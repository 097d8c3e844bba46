/* What go-guard-preload does to the process it is loaded into, by GO_GUARD_PRELOAD. */
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

/* What of the above was chosen. It is asked before the constructor too, by constructors of other
 * libraries. */
unsigned preload_chosen(void);

/* Whether GO_GUARD_DEBUG=1 is set. */
bool preload_loud(void);

/* Says something that ends in a number on stderr under GO_GUARD_DEBUG=1, by no call that may lock. */
void preload_note(const char *what, unsigned long number);

#endif
