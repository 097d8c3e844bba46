#ifndef GUARD_STRESS_TAKER_H
#define GUARD_STRESS_TAKER_H

#include <stdbool.h>
#include <stdint.h>

/* Makes Go's os/signal take the suspend signal in each of its ways in turn, from a thread of its
 * own. */
typedef struct {
  int32_t (*take)(int32_t how, int32_t number); /* TakeSignals of the Go library */
  int32_t (*received)(int32_t number);          /* how often Go was told of a signal */
  unsigned long taken;                          /* how often Go took or returned the signal */
  unsigned long arrived;                        /* signals from outside that reached Go */
} Taker;

extern Taker taker;

void start_taking(int number);
void stop_taking(void);

/* Sends the signal to the process from outside while Go asks for it, and returns whether Go got
 * it. No thread may be suspended meanwhile, because the kernel could choose that thread and let
 * it continue. */
bool takers_signal_arrives(void);

#endif
