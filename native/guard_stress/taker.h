#ifndef GUARD_STRESS_TAKER_H
#define GUARD_STRESS_TAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Has Go's os/signal take the suspend signal in every way it offers, in turn, from a thread of its own. */
typedef struct {
  int32_t (*take)(int32_t how, int32_t number); /* TakeSignals of the Go library */
  int32_t (*received)(int32_t number);          /* how often Go was told of a signal */
  unsigned long taken;                          /* how often Go changed its mind */
  unsigned long arrived;                        /* signals from outside that reached Go */
} Taker;

extern Taker taker;

void start_taking(int number);
void stop_taking(void);

/* Sends the signal to the process, as others do, while Go asks for it, and returns whether Go got it. No
 * thread may be suspended meanwhile: it could be the one that the kernel chooses, and would go on. */
bool takers_signal_arrives(void);

#endif
