/* Watches the signals that the program sends to its threads. Before each, it checks the signal's
 * handler. It also notes the signal, so that the handler can tell it from one that a library
 * sends: nothing in its siginfo does. */
#define _GNU_SOURCE
#include "core.h"

#ifdef __linux__

#include <pthread.h>

typedef int Kill(pthread_t, int);

/* JavaScriptCore waits for each signal before it sends the next. Notes of threads that have ended
 * are overwritten. */
enum { NOTES = 4, SIGNAL_AT = 56 /* no address of a thread has these bits */ };
static uint64_t notes[NOTES];
static uint32_t notes_made;

/* From the thread pointer to what pthread_self returns. */
static uintptr_t self_distance;

static uint64_t note_of(uintptr_t thread, int signal) {
  return (uint64_t)thread | (uint64_t)signal << SIGNAL_AT;
}

static bool take_note(uint64_t wanted) {
  bool found = false;
#pragma GCC unroll 1
  for (unsigned each = 0; each < NOTES; each++) {
    uint64_t now = __atomic_load_n(&notes[each], __ATOMIC_ACQUIRE);
    found |= now == wanted && __atomic_compare_exchange_n(&notes[each], &now, 0, false,
                                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  }
  return found;
}

static int through_kill(pthread_t thread, int signal);

static GuardProgramHook hook = {.name = "pthread_kill", .mine = (void *)through_kill};

static int through_kill(pthread_t thread, int signal) {
  guard_before_send(signal);
  unsigned place = __atomic_fetch_add(&notes_made, 1, __ATOMIC_RELAXED) % NOTES;
  __atomic_store_n(&notes[place], note_of((uintptr_t)thread, signal), __ATOMIC_RELEASE);
  int result = ((Kill *)hook.real)(thread, signal);
  guard_stay_hooked(&hook);
  return result;
}

bool guard_sent_by_program(int signal, bool otherwise) {
  if (hook.real == NULL) return otherwise;
  return take_note(note_of((uintptr_t)__builtin_thread_pointer() + self_distance, signal));
}

void guard_watch_sends(void) {
  self_distance = (uintptr_t)pthread_self() - (uintptr_t)__builtin_thread_pointer();
  guard_hook_program(&hook);
}

#endif
