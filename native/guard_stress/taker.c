/* A library that takes the suspend signal while the program suspends threads with it. */
#define _GNU_SOURCE
#include "taker.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { EVERY, ONE, IGNORED, STOPPED, RESET }; /* what TakeSignals takes */
enum { LIMIT_S = 60, PAUSE_NS = 200000 };

Taker taker;
static pthread_t thread;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool done;
static int number;

static void pause_briefly(void) { nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL); }

static void *take_in_turn(void *unused) {
  static const int32_t ways[] = {EVERY, IGNORED, RESET, ONE, STOPPED};
  (void)unused;
  for (unsigned each = 0; !atomic_load(&done); each++) {
    pthread_mutex_lock(&turn);
    taker.take(ways[each % 5], number);
    taker.taken++;
    pthread_mutex_unlock(&turn);
    pause_briefly();
  }
  return NULL;
}

void start_taking(int suspend_signal) {
  number = suspend_signal;
  pthread_create(&thread, NULL, take_in_turn, NULL);
}

void stop_taking(void) {
  atomic_store(&done, true);
  pthread_join(thread, NULL);
}

bool takers_signal_arrives(void) {
  pthread_mutex_lock(&turn);
  taker.take(ONE, number);
  int32_t before = taker.received(number);
  time_t until = time(NULL) + LIMIT_S;
  kill(getpid(), number);
  while (taker.received(number) == before && time(NULL) < until) pause_briefly();
  bool arrived = taker.received(number) != before;
  taker.arrived += arrived;
  pthread_mutex_unlock(&turn);
  return arrived;
}
