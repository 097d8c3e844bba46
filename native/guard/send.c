/* Checks a signal's handler each time the program sends that signal to one of its threads. */
#define _GNU_SOURCE
#include "core.h"

#ifdef __linux__

#include <pthread.h>

typedef int Kill(pthread_t, int);

static int through_kill(pthread_t thread, int signal);

static GuardProgramHook hook = {.name = "pthread_kill", .mine = (void *)through_kill};

static int through_kill(pthread_t thread, int signal) {
  guard_before_send(signal);
  int result = ((Kill *)hook.real)(thread, signal);
  guard_stay_hooked(&hook);
  return result;
}

void guard_watch_sends(void) { guard_hook_program(&hook); }

#endif
