#ifndef RIVAL_H
#define RIVAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

enum RivalHandler { RIVAL_HANDLES, RIVAL_IGNORES, RIVAL_DEFAULTS };

/* What the library's handler saw last, and how often it was called since the last query. */
struct RivalSeen {
  int calls, number, code;
  bool on_alternate;
  uint64_t blocked;
};

typedef int RivalTakesFunction(int, enum RivalHandler, int, struct sigaction *);
typedef int RivalPutsBackFunction(int, const struct sigaction *);
typedef int RivalTakesRawFunction(int, enum RivalHandler);
typedef void RivalIgnoresFunction(int);
typedef void RivalForwardsFunction(void (*)(int, siginfo_t *, void *));
typedef struct RivalSeen RivalSawFunction(void);

#endif
