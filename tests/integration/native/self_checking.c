/* self_checking MILLISECONDS [FILE]: a process that notices interference, until the time is over or
 * FILE exists. Each thread repeats one check and counts its failures:
 *
 *   ticks       absolute sleeps of 2 ms: none is missing
 *   registers   general and vector registers keep their values
 *   arithmetic  integers and floating point: a sum stays the same
 *   calls       errno, and system calls that the kernel restarts: a read, a relative sleep, a poll
 *   signals     each signal arrives once, and the mask is the same afterwards
 *   blocked     a thread that blocks all signals keeps its mask and its alternate stack
 *
 * The last line has "name=count" for each check, then the number of errors. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 2, THREADS = 6, SLEEP_MS = 5 };

static atomic_bool over;
static _Atomic int64_t over_ns; /* when it was set */
static atomic_long errors;
static _Atomic(const char *) first;
static atomic_long done[THREADS];

static void check(int ok, const char *what) {
  if (ok) return;
  const char *none = NULL;
  atomic_fetch_add(&errors, 1);
  atomic_compare_exchange_strong(&first, &none, what);
}

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *ticks(void *unused) {
  int64_t next = now_ns();
  /* On a busy machine ticks are late. Then the loop goes on until it has caught up. */
  while (!over || next < over_ns) {
    next += TICK_MS * 1000000;
    struct timespec until = {next / 1000000000, next % 1000000000};
    check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0,
          "a tick was interrupted");
    check(now_ns() >= next, "a tick came early");
    done[0]++;
  }
  return unused;
}

#if defined(__x86_64__)
static int registers_kept(void) {
  static long wrong; /* not on the stack, where pushfq would overwrite it */
  wrong = 0;
  __asm__ volatile(
      "mov $0x1111, %%rax\n mov $0x2222, %%rbx\n mov $0x3333, %%rdx\n mov $0x4444, %%rsi\n"
      "mov $0x5555, %%rdi\n mov $0x6666, %%r8\n mov $0x7777, %%r9\n mov $0x8888, %%r10\n"
      "mov $0x9999, %%r11\n mov $0xaaaa, %%r12\n mov $0xbbbb, %%r13\n mov $0xcccc, %%r14\n"
      "movq %%rax, %%xmm0\n movq %%rbx, %%xmm5\n movq %%rdx, %%xmm10\n movq %%r14, %%xmm15\n"
      "movq %%rsi, %%mm3\n"
      "mov $200000, %%rcx\n std\n"
      "1: dec %%rcx\n jnz 1b\n"
      "pushfq\n pop %%r15\n cld\n"
      "xor %%rcx, %%rcx\n"
      "cmp $0x1111, %%rax\n setne %%cl\n add %%rcx, %0\n cmp $0x2222, %%rbx\n setne %%cl\n add "
      "%%rcx, %0\n"
      "cmp $0x3333, %%rdx\n setne %%cl\n add %%rcx, %0\n cmp $0x4444, %%rsi\n setne %%cl\n add "
      "%%rcx, %0\n"
      "cmp $0x5555, %%rdi\n setne %%cl\n add %%rcx, %0\n cmp $0x6666, %%r8\n setne %%cl\n add "
      "%%rcx, %0\n"
      "cmp $0x7777, %%r9\n setne %%cl\n add %%rcx, %0\n cmp $0x8888, %%r10\n setne %%cl\n add "
      "%%rcx, %0\n"
      "cmp $0x9999, %%r11\n setne %%cl\n add %%rcx, %0\n cmp $0xaaaa, %%r12\n setne %%cl\n add "
      "%%rcx, %0\n"
      "cmp $0xbbbb, %%r13\n setne %%cl\n add %%rcx, %0\n cmp $0xcccc, %%r14\n setne %%cl\n add "
      "%%rcx, %0\n"
      "and $0x400, %%r15\n cmp $0x400, %%r15\n setne %%cl\n add %%rcx, %0\n"
      "movq %%xmm0, %%rax\n cmp $0x1111, %%rax\n setne %%cl\n add %%rcx, %0\n"
      "movq %%xmm5, %%rax\n cmp $0x2222, %%rax\n setne %%cl\n add %%rcx, %0\n"
      "movq %%xmm10, %%rax\n cmp $0x3333, %%rax\n setne %%cl\n add %%rcx, %0\n"
      "movq %%xmm15, %%rax\n cmp $0xcccc, %%rax\n setne %%cl\n add %%rcx, %0\n"
      "movq %%mm3, %%rax\n cmp $0x4444, %%rax\n setne %%cl\n add %%rcx, %0\n emms\n"
      : "+m"(wrong)
      :
      : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
        "r15", "xmm0", "xmm5", "xmm10", "xmm15", "mm3", "cc", "memory");
  return wrong == 0;
}
#else
static int registers_kept(void) { return 1; }
#endif

static void *registers(void *unused) {
  while (!over) {
    check(registers_kept(), "a register changed");
    done[1]++;
  }
  return unused;
}

static double mixed(uint64_t *mix) {
  double sum = 1.0, term = 0.5;
  uint64_t h = 0x9e3779b97f4a7c15u;
  for (int i = 1; i < 20000; i++) {
    h = (h ^ (h >> 29)) * 0xbf58476d1ce4e5b9u + (uint64_t)i;
    term = term * 0.99991 + (double)(h >> 40) * 1e-9;
    sum = sum * 1.0000001 + term / (double)i;
  }
  *mix = h;
  return sum;
}

static void *arithmetic(void *unused) {
  uint64_t expected, found;
  double sum = mixed(&expected);
  while (!over) {
    double again = mixed(&found);
    check(found == expected && memcmp(&sum, &again, sizeof sum) == 0, "a sum was wrong");
    done[2]++;
  }
  return unused;
}

static int feed[2];

static void *feeder(void *unused) {
  /* One byte at a time, so that the reader has to wait. A full pipe would also block this thread for
   * ever once nobody reads. */
  for (unsigned char n = 0; !over;) {
    int held = 1;
    nanosleep(&(struct timespec){0, 700000}, NULL);
    if (ioctl(feed[1], FIONREAD, &held) != 0 || held != 0) continue;
    if (write(feed[1], &n, 1) != 1) break;
    n++;
  }
  close(feed[1]);
  return unused;
}

static void *calls(void *unused) {
  sem_t never;
  sem_init(&never, 0, 0);
  for (unsigned char expected = 0; !over; expected++) {
    unsigned char n = 0;
    errno = 4711;
    ssize_t got = read(feed[0], &n, 1);
    if (got == 0) break;
    check(got == 1 && n == expected && errno == 4711, "a read was wrong");
    check(syscall(SYS_close, -1) == -1 && errno == EBADF, "errno was wrong");
    int64_t started = now_ns();
    check(nanosleep(&(struct timespec){0, SLEEP_MS * 1000000}, NULL) == 0,
          "a sleep was interrupted");
    check(now_ns() - started >= SLEEP_MS * 1000000, "a sleep was cut short");
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    if ((until.tv_nsec += 2000000) >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    check(sem_timedwait(&never, &until) == -1 && errno == ETIMEDOUT, "a wait was wrong");
    check(poll(NULL, 0, 3) == 0, "a poll was interrupted");
    done[3]++;
  }
  return unused;
}

static atomic_long received;
static void on_signal(int number) {
  (void)number;
  received++;
}

static void *signals(void *unused) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, NULL, &before);
  for (long sent = 0; !over;) {
    pthread_kill(pthread_self(), SIGUSR1);
    sent++;
    check(received == sent, "a signal was lost, or came twice");
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    check(memcmp(&before, &after, 8) == 0, "a signal mask changed");
    nanosleep(&(struct timespec){0, 100000}, NULL);
    done[4]++;
  }
  return unused;
}

static void *blocked(void *unused) {
  sigset_t all, now;
  stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16}, found;
  sigaltstack(&stack, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, NULL);
  pthread_sigmask(SIG_SETMASK, NULL, &all);
  while (!over) {
    struct sigaction trap;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    check(memcmp(&all, &now, 8) == 0, "a mask of everything changed");
    check(sigaltstack(NULL, &found) == 0 && found.ss_sp == stack.ss_sp,
          "an alternate stack changed");
    check(sigaction(SIGTRAP, NULL, &trap) == 0 && trap.sa_handler == on_signal,
          "SIGTRAP's handler is gone");
    done[5]++;
  }
  return unused;
}

int main(int argc, char **argv) {
  static const char *const names[THREADS] = {"ticks", "registers", "arithmetic",
                                             "calls", "signals",   "blocked"};
  void *(*const work[THREADS])(void *) = {ticks, registers, arithmetic, calls, signals, blocked};
  pthread_t threads[THREADS + 1];
  long limit_ms = argc > 1 ? atol(argv[1]) : 1000;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  sigaction(SIGTRAP, &action, NULL);
  if (pipe(feed) < 0) return 2;
  pthread_create(&threads[THREADS], NULL, feeder, NULL);
  int64_t started = now_ns();
  for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work[i], NULL);
  puts("ready");
  fflush(stdout);
  for (int64_t next = started; next < started + limit_ms * 1000000;) {
    if (argc > 2 && access(argv[2], F_OK) == 0) break;
    next += 100000000;
    struct timespec until = {next / 1000000000, next % 1000000000};
    check(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0,
          "the long sleep was interrupted");
  }
  over_ns = now_ns();
  over = 1;
  for (int i = 0; i <= THREADS; i++) pthread_join(threads[i], NULL);
  /* On a busy machine a tick may be late, but none is missing. */
  long expected = (over_ns - started) / (TICK_MS * 1000000);
  check(done[0] + 8 >= expected * 9 / 10, "ticks are missing");
  for (int i = 0; i < THREADS; i++) printf("%s=%ld ", names[i], done[i]);
  const char *what = first;
  printf("errors=%ld%s%s\n", errors, what ? " first: " : "", what ? what : "");
  return errors != 0;
}
