/* child MODE [NOTE [CHANNEL]]: a process that ends, or does not end, in one known way. It reports on
 * CHANNEL as scenarios do, and some modes write to the file NOTE. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int events = -1;
static char key[64];

static void open_channel(const char *folder) {
  char path[4096];
  snprintf(path, sizeof path, "%s/key", folder);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || read(fd, key, sizeof key - 1) <= 0) exit(3);
  close(fd);
  unlink(path);
  snprintf(path, sizeof path, "%s/events", folder);
  events = open(path, O_WRONLY | O_CLOEXEC);
}

static void report_json(const char *json) {
  static int number;
  dprintf(events, "\n@gobun %s 0 %d %s\n", key, ++number, json);
}

static void report(const char *event) {
  char json[100];
  snprintf(json, sizeof json, "{\"at\":\"%s\"}", event);
  report_json(json);
}

static void wait_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) < 0 && errno == EINTR) {
  }
}

static void on_signal(int number) { (void)number; }

static void *send_for_ever(void *target) {
  for (;;) pthread_kill(*(pthread_t *)target, SIGUSR1);
  return NULL;
}

static void *work_for_ever(void *unused) {
  for (volatile unsigned long n = 0;; n++) {
  }
  return unused;
}

/* Two threads wake each other as fast as they can. That is not a signal storm. */
static sem_t ping, pong;
static void *answer(void *unused) {
  for (;;) {
    sem_wait(&ping);
    sem_post(&pong);
  }
  return unused;
}

/* Starts a process outside of the group and the session, and writes its id to NOTE. */
static void leave_daemon(const char *note) {
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      FILE *file = fopen(note, "w");
      fprintf(file, "%d\n", (int)getpid());
      fclose(file);
      for (;;) pause();
    }
    _exit(0);
  }
  wait(NULL);
  while (access(note, R_OK) != 0) wait_ms(5);
}

/* Each process starts others, but there are never more than 300 at a time. */
static void bomb(const char *note, int leave) {
  volatile int *started =
      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int mark = open(note, O_CREAT | O_WRONLY, 0600); /* inherited, so that a test can find them */
  for (;;) {
    if (__sync_fetch_and_add(started, 1) < 300) {
      if (fork() == 0 && leave) setsid();
    } else {
      __sync_fetch_and_sub(started, 1);
      wait_ms(100);
    }
  }
  close(mark);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  pthread_t self = pthread_self(), other;
  if (argc > 3) open_channel(argv[3]);
  report("start");
  if (!strcmp(mode, "pass")) {
    report("done");
  } else if (!strcmp(mode, "exit-7")) {
    return 7;
  } else if (!strcmp(mode, "quiet-end")) {
    report("called");
  } else if (!strcmp(mode, "fail")) {
    report_json("{\"at\":\"fail\",\"why\":\"Error: it is broken\\n    at line 1\"}");
    return 1;
  } else if (!strcmp(mode, "skip")) {
    report_json("{\"at\":\"skip\",\"why\":\"there is none\"}");
  } else if (!strcmp(mode, "segv")) {
    *(volatile int *)16 = 1;
  } else if (!strcmp(mode, "bus")) {
    FILE *empty = tmpfile();
    volatile char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fileno(empty), 0);
    return page[0];
  } else if (!strcmp(mode, "abort")) {
    abort();
  } else if (!strcmp(mode, "panic")) {
    fputs("panic(main thread): Segmentation fault at address 0x0\noh no: Bun has crashed.\n",
          stderr);
    return 134;
  } else if (!strcmp(mode, "storm")) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sem_init(&ping, 0, 0);
    pthread_create(&other, NULL, send_for_ever, &self);
    while (sem_wait(&ping) < 0) {
    }
  } else if (!strcmp(mode, "deadlock")) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&mutex);
    pthread_mutex_lock(&mutex);
  } else if (!strcmp(mode, "spin")) {
    work_for_ever(NULL);
  } else if (!strcmp(mode, "waits-for-worker")) {
    pthread_create(&other, NULL, work_for_ever, NULL);
    pthread_join(other, NULL);
  } else if (!strcmp(mode, "ping-pong")) {
    sem_init(&ping, 0, 0);
    sem_init(&pong, 0, 0);
    pthread_create(&other, NULL, answer, NULL);
    for (;;) {
      sem_post(&ping);
      sem_wait(&pong);
    }
  } else if (!strcmp(mode, "beats-for-ever")) {
    for (;;) {
      report("beat");
      wait_ms(25);
    }
  } else if (!strcmp(mode, "beats-3-s")) {
    close(open(argv[2], O_CREAT | O_WRONLY, 0600));
    for (int i = 0; i < 120; i++) {
      report("beat");
      wait_ms(25);
    }
    report("done");
  } else if (!strcmp(mode, "waits-5-s")) {
    wait_ms(5000);
    report("done");
  } else if (!strcmp(mode, "works-1.5-s")) {
    while (clock() < CLOCKS_PER_SEC * 3 / 2) {
    }
    report("done");
  } else if (!strcmp(mode, "reads-socket")) {
    int ends[2];
    char byte;
    (void)!socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    recv(ends[0], &byte, 1, 0);
  } else if (!strcmp(mode, "stops-itself")) {
    raise(SIGSTOP);
  } else if (!strcmp(mode, "slow")) {
    wait_ms(1500);
    report("done");
  } else if (!strcmp(mode, "flood")) {
    char line[1000];
    memset(line, 'x', sizeof line);
    line[999] = '\n';
    for (int i = 0; i < 40000; i++) fwrite(line, 1, sizeof line, i % 2 ? stdout : stderr);
    report("done");
  } else if (!strcmp(mode, "no-newline")) {
    char chunk[4096];
    memset(chunk, 'y', sizeof chunk);
    for (int i = 0; i < 2000; i++) fwrite(chunk, 1, sizeof chunk, stdout);
    fflush(stdout);
    report("done");
  } else if (!strcmp(mode, "daemon")) {
    leave_daemon(argv[2]);
    report("done");
  } else if (!strcmp(mode, "daemon-and-hang")) {
    leave_daemon(argv[2]);
    for (;;) pause();
  } else if (!strcmp(mode, "sleep")) {
    wait_ms(1000000);
  } else if (!strcmp(mode, "fork-bomb") || !strcmp(mode, "fork-bomb-in-sessions")) {
    bomb(argv[2], strlen(mode) > strlen("fork-bomb"));
  } else if (!strcmp(mode, "zombies")) {
    for (int i = 0; i < 50; i++) {
      if (fork() == 0) _exit(0);
    }
    report("done");
  } else {
    return 2;
  }
  return 0;
}
