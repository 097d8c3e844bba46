#ifndef RIVAL_H
#define RIVAL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* A handler of a collector gets no siginfo: it looks for the stack's end alone. */
enum RivalHandler { RIVAL_HANDLES, RIVAL_COLLECTS, RIVAL_IGNORES, RIVAL_DEFAULTS };

/* The last call of the library's handler, and the number of calls since the last query. */
struct RivalRecord {
  int calls, number, code;
  bool on_alternate;
  uint64_t blocked;
};

typedef int RivalTakesFunction(int, enum RivalHandler, int, struct sigaction *);
typedef int RivalPutsBackFunction(int, const struct sigaction *);
typedef int RivalTakesRawFunction(int, enum RivalHandler);
typedef void RivalIgnoresFunction(int);
typedef int RivalSendsFunction(pthread_t, int);
typedef void RivalForwardsFunction(void (*)(int, siginfo_t *, void *));
typedef struct RivalRecord RivalRecordFunction(void);

#endif
