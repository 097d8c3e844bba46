/* A careless module: it replaces the process's handlers of SIGPIPE and SIGSEGV. */
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static void leave(int number) {
  (void)number;
  _exit(3);
}

EXPORT int32_t Run(void) {
  signal(SIGPIPE, SIG_DFL);
  signal(SIGSEGV, leave);
  return 0;
}

EXPORT int32_t Recover(void) { return 0; }

EXPORT int32_t Overflow(void) { return -1; }
