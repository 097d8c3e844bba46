/* Loads Go fixtures with dlopen and calls them from old and new threads: musl_calls LIBRARY...

   Prints "pass", or what failed and where. A thread that is older than a library is where musl has
   to make room for thread-local variables afterwards. */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OLD_THREADS = 8, NEW_THREADS = 24, SHORT_THREADS = 200, CALLS = 2000, MOST = 8 };

typedef int32_t (*none)(void);
typedef int32_t (*one)(int32_t);
typedef int32_t (*two)(int32_t, int32_t);

static struct library {
  none run, recover;
  one busy;
  two block_threads;
} libraries[MOST];

static int count;
static sem_t loaded;

static void check(int32_t found, int32_t expected, const char *what) {
  if (found != expected) {
    printf("%s returned %d, not %d\n", what, found, expected);
    exit(1);
  }
}

static void *call_often(void *unused) {
  for (int i = 0; i < CALLS; i++) check(libraries[i % count].run(), 0, "Run");
  check(libraries[0].recover(), 0, "Recover");
  return unused;
}

static void *wait_and_call(void *unused) {
  sem_wait(&loaded);
  return call_often(unused);
}

static void *call_once(void *unused) {
  for (int i = 0; i < count; i++) check(libraries[i].run(), 0, "Run");
  return unused;
}

static void load(const char *path) {
  struct library *it = &libraries[count];
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

  if (!handle) {
    printf("dlopen: %s\n", dlerror());
    exit(2);
  }
  it->run = (none)dlsym(handle, "Run");
  it->recover = (none)dlsym(handle, "Recover");
  it->busy = (one)dlsym(handle, "Busy");
  it->block_threads = (two)dlsym(handle, "BlockThreads");
  count++;
  check(it->run(), 0, "the first Run");
  check(it->recover(), 0, "the first Recover");
}

static volatile sig_atomic_t interruptions;

static void interrupt(int number) {
  (void)number;
  interruptions = interruptions + 1;
}

/* A timer interrupts the calls wherever they are, thunks included. */
static void interrupt_often(void) {
  struct sigaction action = {.sa_handler = interrupt, .sa_flags = SA_RESTART | SA_ONSTACK};
  struct itimerval often = {{0, 500}, {0, 500}};

  sigaction(SIGVTALRM, &action, 0);
  setitimer(ITIMER_VIRTUAL, &often, 0);
}

int main(int argc, char **argv) {
  pthread_t old[OLD_THREADS], new[NEW_THREADS], brief;
  int status;

  sem_init(&loaded, 0, 0);
  for (int i = 0; i < OLD_THREADS; i++) pthread_create(&old[i], 0, wait_and_call, 0);
  for (int i = 1; i < argc && i <= MOST; i++) load(argv[i]);
  interrupt_often();
  for (int i = 0; i < OLD_THREADS; i++) sem_post(&loaded);
  for (int i = 0; i < NEW_THREADS; i++) pthread_create(&new[i], 0, call_often, 0);
  for (int i = 0; i < OLD_THREADS; i++) pthread_join(old[i], 0);
  for (int i = 0; i < NEW_THREADS; i++) pthread_join(new[i], 0);
  for (int i = 0; i < SHORT_THREADS; i++) {
    pthread_create(&brief, 0, call_once, 0);
    pthread_join(brief, 0);
  }
  for (int i = 0; i < count; i++) {
    check(libraries[i].busy(100), 0, "Busy");
    check(libraries[i].block_threads(20, 5), 20, "BlockThreads");
  }
  if (fork() == 0) {
    execl("/bin/true", "true", (char *)0);
    _exit(1);
  }
  wait(&status);
  check(status, 0, "a child");
  /* The timer counts the time of the processor, which a busy machine may not have given yet. */
  alarm(60);
  while (!interruptions) check(libraries[0].run(), 0, "Run");
  puts("pass");
  return 0;
}
