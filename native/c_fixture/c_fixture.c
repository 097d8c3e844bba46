/* The fixture "control": C without Go. If it fails, Go is not the cause.
 *
 * It exports what every fixture exports, and also Disposition(), WriteToClosedSocket() and
 * Crash(). With these the stresses examine a process, whether or not it has loaded the module
 * under test. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

extern void gobun_sleep(int32_t ms);
extern void gobun_call(void *function, void *data);

enum { MOST_THREADS = 256, CALLERS = 8 };
enum { IGNORED = 1, HANDLED = 2, ON_STACK = 4, WITH_INFO = 8, RESTARTS = 16 };

EXPORT int32_t Run(void) {
  enum { size = 1 << 20 };
  volatile unsigned char *memory = malloc(size);
  if (memory == NULL) return 1;
  memset((void *)memory, 0x5a, size);
  int32_t failed = memory[size - 1] == 0x5a ? 0 : 2;
  free((void *)memory);
  return failed;
}

EXPORT int32_t Recover(void) { return 0; }

/* -1: there is no Go stack to overflow */
EXPORT int32_t Overflow(void) { return -1; }

/* -1: there is no Go that could take a signal */
EXPORT int32_t TakeSignals(int32_t how, int32_t number) {
  (void)how;
  (void)number;
  return -1;
}

EXPORT int32_t SignalsReceived(int32_t number) {
  (void)number;
  return 0;
}

/* Runs `work` in n threads at once. Returns how many threads started. */
static int32_t together(int32_t n, void *(*work)(void *), void *data) {
  pthread_t threads[MOST_THREADS];
  int32_t started = 0;
  while (started < n && started < MOST_THREADS &&
         pthread_create(&threads[started], NULL, work, data) == 0) {
    started++;
  }
  for (int32_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
  return started;
}

static void *sleep_once(void *data) {
  gobun_sleep(*(int32_t *)data);
  return NULL;
}

EXPORT int32_t BlockThreads(int32_t n, int32_t ms) { return together(n, sleep_once, &ms); }

EXPORT int32_t Busy(int32_t ms) {
  struct timespec from, now;
  clock_gettime(CLOCK_MONOTONIC, &from);
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
  return 0;
}

typedef struct {
  void *function, *data;
  atomic_int left, done;
} Calls;

static void *call_while_any(void *data) {
  Calls *calls = data;
  while (atomic_fetch_sub(&calls->left, 1) > 0) {
    gobun_call(calls->function, calls->data);
    atomic_fetch_add(&calls->done, 1);
  }
  return NULL;
}

EXPORT int32_t CallBack(void *function, void *data, int32_t n) {
  Calls calls = {.function = function, .data = data};
  atomic_init(&calls.left, n);
  atomic_init(&calls.done, 0);
  together(CALLERS, call_while_any, &calls);
  return atomic_load(&calls.done);
}

/* How this process handles a signal: 0 for the default, else a sum of the numbers above; -1 if
 * there is no such signal. */
EXPORT int32_t Disposition(int32_t number) {
  struct sigaction action;
  if (sigaction(number, NULL, &action) != 0) return -1;
  int32_t result = HANDLED;
  if (action.sa_handler == SIG_DFL) result = 0;
  if (action.sa_handler == SIG_IGN) result = IGNORED;
  if (action.sa_flags & SA_ONSTACK) result |= ON_STACK;
  if (action.sa_flags & SA_SIGINFO) result |= WITH_INFO;
  if (action.sa_flags & SA_RESTART) result |= RESTARTS;
  return result;
}

/* Writes to a socket whose other end is closed, and returns the error: EPIPE, unless SIGPIPE
 * kills the process. */
EXPORT int32_t WriteToClosedSocket(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -1;
  close(ends[1]);
  ssize_t written = write(ends[0], "for nobody", 10);
  int error = errno;
  close(ends[0]);
  return written < 0 ? error : 0;
}

/* Crashes, as a bug in a native module does. */
EXPORT int32_t Crash(void) {
  volatile int32_t *volatile nowhere = NULL;
  return *nowhere;
}
