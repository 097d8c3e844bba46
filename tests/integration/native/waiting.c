/* waiting MODE: a process that prints "ready" and then waits for one known thing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec long_time = {.tv_sec = 600};
static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER, second = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void *sleep_long(void *unused) {
  nanosleep(&long_time, NULL);
  return unused;
}

static void *spin(void *unused) {
  for (volatile unsigned long n = 0;; n++) {
  }
  return unused;
}

static void *take_in_turn(void *unused) {
  pthread_mutex_lock(&second);
  pthread_barrier_wait(&both);
  pthread_mutex_lock(&first);
  return unused;
}

static void lock_twice(void) {
  pthread_mutex_lock(&first);
  pthread_mutex_lock(&first);
}

static int epoll_of(int file) {
  int set = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event event = {.events = EPOLLIN};
  epoll_ctl(set, EPOLL_CTL_ADD, file, &event);
  return set;
}

static void wait_epoll(int set, int timeout_ms) {
  struct epoll_event event;
  epoll_wait(set, &event, 1, timeout_ms);
}

static void read_from(int file) {
  long long counter; /* as an eventfd and a timerfd give */
  (void)!read(file, &counter, sizeof counter);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  pthread_t other;
  int ends[2];
  puts("ready");
  fflush(stdout);
  if (!strcmp(mode, "sleep")) {
    sleep_long(NULL);
  } else if (!strcmp(mode, "lock")) {
    lock_twice();
  } else if (!strcmp(mode, "timed-lock")) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 600;
    pthread_mutex_lock(&first);
    pthread_mutex_timedlock(&first, &until);
  } else if (!strcmp(mode, "two-locks")) {
    pthread_barrier_init(&both, NULL, 2);
    pthread_create(&other, NULL, take_in_turn, NULL);
    pthread_mutex_lock(&first);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&second);
  } else if (!strcmp(mode, "lock-beside-sleeper")) {
    pthread_create(&other, NULL, sleep_long, NULL);
    lock_twice();
  } else if (!strcmp(mode, "lock-beside-spinner")) {
    pthread_create(&other, NULL, spin, NULL);
    lock_twice();
  } else if (!strcmp(mode, "lock-with-timer")) {
    timer_t timer;
    struct sigevent by = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_create(CLOCK_MONOTONIC, &by, &timer);
    lock_twice();
  } else if (!strcmp(mode, "lock-with-child")) {
    if (fork() == 0) {
      sleep_long(NULL);
      _exit(0);
    }
    lock_twice();
  } else if (!strcmp(mode, "shared-lock")) {
    sem_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sem_init(shared, 1, 0);
    sem_wait(shared);
  } else if (!strcmp(mode, "own-pipe")) {
    (void)!pipe2(ends, O_CLOEXEC);
    read_from(ends[0]);
  } else if (!strcmp(mode, "inherited-pipe")) {
    (void)!pipe(ends);
    read_from(ends[0]);
  } else if (!strcmp(mode, "stdin")) {
    read_from(0);
  } else if (!strcmp(mode, "socket")) {
    (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    recv(ends[0], &ends, 1, 0);
  } else if (!strcmp(mode, "accept")) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    bind(listener, (struct sockaddr *)&address, sizeof address);
    listen(listener, 1);
    accept(listener, NULL, NULL);
  } else if (!strcmp(mode, "eventfd")) {
    read_from(eventfd(0, EFD_CLOEXEC));
  } else if (!strcmp(mode, "epoll-eventfd")) {
    wait_epoll(epoll_of(epoll_of(eventfd(0, EFD_CLOEXEC))), -1);
  } else if (!strcmp(mode, "epoll-timed")) {
    wait_epoll(epoll_of(eventfd(0, EFD_CLOEXEC)), 600000);
  } else if (!strcmp(mode, "epoll-socket")) {
    (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    wait_epoll(epoll_of(ends[0]), -1);
  } else if (!strcmp(mode, "timerfd")) {
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec at = {.it_value = long_time};
    timerfd_settime(timer, 0, &at, NULL);
    read_from(timer);
  } else if (!strcmp(mode, "timerfd-off")) {
    read_from(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  } else if (!strcmp(mode, "poll")) {
    struct pollfd files[] = {{.fd = 0, .events = POLLIN}, {.fd = -1}};
    poll(files, 2, -1);
  } else if (!strcmp(mode, "poll-timed")) {
    poll(NULL, 0, 600000);
  } else if (!strcmp(mode, "select")) {
    fd_set files;
    FD_ZERO(&files);
    FD_SET(0, &files);
    select(1, &files, NULL, NULL, NULL);
  } else if (!strcmp(mode, "select-timed")) {
    struct timeval time = {.tv_sec = 600, .tv_usec = 500000};
#ifdef SYS_select
    syscall(SYS_select, 0, NULL, NULL, NULL, &time); /* libc calls pselect6 */
#else
    select(0, NULL, NULL, NULL, &time);
#endif
  } else if (!strcmp(mode, "pause")) {
    pause();
  } else if (!strcmp(mode, "child")) {
    if (fork() == 0) {
      sleep_long(NULL);
      _exit(0);
    }
    wait(NULL);
  } else if (!strcmp(mode, "file-lock")) {
    flock(open(argv[2], O_RDWR), LOCK_EX);
    flock(open(argv[2], O_RDWR), LOCK_EX);
  } else if (!strcmp(mode, "spin")) {
    spin(NULL);
  } else if (!strcmp(mode, "stopped")) {
    raise(SIGSTOP);
  } else {
    return 2;
  }
  return 0;
}
