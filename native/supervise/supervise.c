/* supervise [--core BYTES] [--group FOLDER]… [NAME=VALUE…] COMMAND…: runs a command, and leaves
 * none of its processes behind.
 *
 * There are three processes: this one, its child the `holder`, and the command. The command's
 * parent is the holder. So a command that kills or stops its parent hits a process that only
 * waits. This process sees that, ends everything, and reports it. On Linux it is a child
 * subreaper: a process that left the group or the session becomes its child, and it returns only
 * when no child is left.
 *
 * Standard input is a socket to the harness. When its other end closes, also because the harness
 * died by SIGKILL, everything is killed. The command never inherits the socket, and nobody can
 * open a socket again by its path in /proc. The command's own standard input is /dev/null.
 *
 * Only the command gets the variables, because LD_PRELOAD would otherwise apply to this program
 * too. The command enters the control groups FOLDER before it starts. It leaves no core file, or
 * one of at most BYTES.
 *
 * Lines on the socket: `pid N` once the command runs; `error ERRNO` if it could not be started;
 * `ungrouped ERRNO` if it could not enter its groups; `crowd N` if it was killed because it had
 * too many processes; `stopped` if the holder was stopped. The last line comes when no process
 * is left: `exit CODE USER_US SYSTEM_US MAXRSS_KB STRAYS`, `signal NUMBER …`, or `lost NUMBER …`
 * with the signal that killed the holder. */
#define _GNU_SOURCE /* SCHED_RESET_ON_FORK */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include "descendants.h"
#include "group.h"

/* The most processes that a command may have. A command that starts processes without end is
 * stopped before the machine runs out of them. RLIMIT_NPROC counts all processes of a user, and
 * does not bind root. */
#define MOST_PROCESSES 256
#define COUNT_EVERY_MS 50
#define END_WITHIN_MS 1000

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum { HARNESS = STDIN_FILENO };

struct note {
  enum { STARTED, FAILED, UNGROUPED, ENDED } kind;
  int number;
  struct rusage usage;
};

static void on_child(int number) { (void)number; }

/* Sends a line to the harness; false if nobody reads any more. */
__attribute__((format(printf, 1, 2))) static bool report(const char *format, ...) {
  char line[160];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  return send(HARNESS, line, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length;
}

/* No variable has a slash in its name, and a program's path has one before any equals sign. */
static bool sets_variable(const char *word) { return word[strcspn(word, "=/")] == '='; }

static void limit_core(rlim_t core) {
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  if (limit.rlim_max > core) limit.rlim_max = core;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_CORE, &limit);
}

static void send_note(int notes, int kind, int number, const struct rusage *usage) {
  struct note note = {.kind = kind, .number = number};
  if (usage != NULL) note.usage = *usage;
  (void)!write(notes, &note, sizeof note);
}

static void die_with(pid_t parent) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (getppid() != parent) _exit(127);
}

static void become_command(char **words, int notes, rlim_t core, const sigset_t *signals) {
  int nothing = open("/dev/null", O_RDONLY);
  if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0) _exit(127);
  close(nothing);
  setpgid(0, 0);
#ifdef __linux__
  /* Lets the harness's inspector examine a cell that hangs, where Yama restricts tracing. */
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
#endif
  int error = group_enter();
  if (error != 0) send_note(notes, UNGROUPED, error, NULL);
  limit_core(core);
  signal(SIGPIPE, SIG_DFL);
  signal(SIGCHLD, SIG_DFL);
  sigprocmask(SIG_SETMASK, signals, NULL);
  while (*words != NULL && sets_variable(*words)) putenv(*words++);
  if (*words != NULL) execvp(words[0], words);
  send_note(notes, FAILED, *words != NULL ? errno : EINVAL, NULL);
  _exit(127);
}

/* The command's parent: waits for it, reports how it ended, and does nothing else. */
static void run_holder(char **words, int notes, rlim_t core, const sigset_t *signals,
                       pid_t supervisor) {
  die_with(supervisor);
  close(HARNESS);
  pid_t self = getpid(), child = fork();
  if (child == 0) {
    die_with(self);
    become_command(words, notes, core, signals);
  }
  if (child < 0) {
    send_note(notes, FAILED, errno, NULL);
    _exit(1);
  }
  setpgid(child, child);
  send_note(notes, STARTED, (int)child, NULL);
  struct rusage usage;
  int status;
  while (wait4(child, &status, 0, &usage) < 0) {
    if (errno != EINTR) _exit(1);
  }
  send_note(notes, ENDED, status, &usage);
  _exit(0);
}

struct supervised {
  pid_t holder, command;
  int notes;
  bool killed; /* every process has been sent a SIGKILL */
  bool command_ended; /* the command has ended, and its status is known */
  bool holder_ended; /* the holder has ended */
  bool stop_reported; /* the holder was stopped */
  int status; /* of the command, or of a holder that ended before it */
  struct rusage usage;
  long long give_up_at_ms; /* when to kill the holder too, after the end of all others */
};

static long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void end_all(struct supervised *cell) {
  if (cell->killed) return;
  cell->killed = true;
  cell->give_up_at_ms = now_ms() + END_WITHIN_MS;
  group_kill();
  if (cell->command > 0) {
    kill(-cell->command, SIGKILL);
    kill(cell->command, SIGKILL);
  }
}

static void take_notes(struct supervised *cell) {
  struct note note;
  while (recv(cell->notes, &note, sizeof note, MSG_DONTWAIT) == (ssize_t)sizeof note) {
    if (note.kind == STARTED) {
      cell->command = note.number;
      report("pid %d\n", note.number);
      if (cell->killed) kill(cell->command, SIGKILL);
    } else if (note.kind == ENDED) {
      cell->command_ended = true;
      cell->status = note.number;
      cell->usage = note.usage;
    } else {
      report("%s %d\n", note.kind == FAILED ? "error" : "ungrouped", note.number);
    }
  }
}

static void check_holder(struct supervised *cell) {
  int status;
  if (cell->holder_ended || waitpid(cell->holder, &status, WNOHANG | WUNTRACED) <= 0) return;
  if (WIFSTOPPED(status)) {
    if (!cell->stop_reported) report("stopped\n");
    cell->stop_reported = true;
    end_all(cell);
    kill(cell->holder, SIGCONT);
    return;
  }
  cell->holder_ended = true;
  take_notes(cell);
  if (!cell->command_ended) cell->status = status;
}

static void reap_orphans(const struct supervised *cell) {
  siginfo_t info = {.si_pid = 0};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0 &&
         info.si_pid != cell->holder) {
    waitpid(info.si_pid, NULL, WNOHANG);
    info.si_pid = 0;
  }
}

/* Waits for the next event, at most until processes must be counted again. */
static void wait_for_event(const struct supervised *cell, const sigset_t *signals) {
  fd_set readable;
  FD_ZERO(&readable);
  FD_SET(cell->notes, &readable);
  if (!cell->killed) FD_SET(HARNESS, &readable);
  struct timespec pause = {0, COUNT_EVERY_MS * 1000000L};
  int last = cell->notes > HARNESS ? cell->notes : HARNESS;
  if (pselect(last + 1, &readable, NULL, NULL, &pause, signals) < 0) FD_ZERO(&readable);
}

static bool harness_is_gone(void) {
  char unused[16];
  ssize_t size = recv(HARNESS, unused, sizeof unused, MSG_DONTWAIT);
  return size >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void watch(struct supervised *cell, const sigset_t *signals) {
  while (!cell->command_ended && !cell->holder_ended) {
    wait_for_event(cell, signals);
    take_notes(cell);
    check_holder(cell);
    reap_orphans(cell);
    if (!cell->killed) {
      int processes = group_count();
      if (processes < 0) processes = descendants_if_many(MOST_PROCESSES);
      if (processes > MOST_PROCESSES) report("crowd %d\n", processes);
      if (processes > MOST_PROCESSES || harness_is_gone()) end_all(cell);
    } else if (now_ms() > cell->give_up_at_ms) {
      kill(cell->holder, SIGKILL);
    }
  }
}

/* Reaps what has ended. Returns whether any child is left. An orphan is a child too. */
static bool reap(const struct supervised *cell, int *strays) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    if (pid != cell->holder) ++*strays;
  }
  return pid == 0 || errno != ECHILD;
}

/* The holder exits right after its report. Most cells leave nothing else, and then there is no
 * need to read all of /proc. */
static void await_holder(void) {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  struct timespec most = {0, 5 * 1000000L};
#ifdef __linux__
  sigtimedwait(&child, NULL, &most);
#else
  nanosleep(&most, NULL);
#endif
}

/* Kills and reaps until no descendant is left. Returns how many there were beside the command. */
static int sweep(struct supervised *cell) {
  int strays = 0;
  group_kill();
  if (reap(cell, &strays)) await_holder();
  while (reap(cell, &strays)) {
    group_kill();
    descendants_kill();
    usleep(2000); /* they die; a missed one is seen when its parent is gone */
  }
  return strays;
}

static bool report_end(const struct supervised *cell, int strays) {
  const char *kind = !cell->command_ended ? "lost" : WIFEXITED(cell->status) ? "exit" : "signal";
  const struct rusage *usage = &cell->usage;
  return report("%s %d %lld %lld %ld %d\n", kind,
                WIFEXITED(cell->status) ? WEXITSTATUS(cell->status) : WTERMSIG(cell->status),
                (long long)usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec,
                (long long)usage->ru_stime.tv_sec * 1000000 + usage->ru_stime.tv_usec,
#ifdef __APPLE__
                usage->ru_maxrss / 1024,
#else
                usage->ru_maxrss,
#endif
                strays);
}

/* A fork bomb leaves one process among thousands no processor time. So this process takes
 * priority where it may; its children do not. It sleeps all but a few microseconds of every 50
 * ms. */
static void take_priority(void) {
#ifdef __linux__
  struct sched_param lowest = {.sched_priority = 1}, none = {.sched_priority = 0};
  if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0) return;
  if (sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) == 0) {
    setpriority(PRIO_PROCESS, 0, -20);
  }
#endif
}

static rlim_t read_options(int argc, char ***argv) {
  rlim_t core = 0;
  char **words = *argv + 1;
  for (; argc > 3 && words[0] != NULL && words[1] != NULL; words += 2) {
    if (strcmp(words[0], "--core") == 0) core = strtoull(words[1], NULL, 10);
    else if (strcmp(words[0], "--group") == 0) group_add(words[1]);
    else break;
  }
  *argv = words;
  return core;
}

int main(int argc, char **argv) {
  rlim_t core = read_options(argc, &argv);
  struct stat kind;
  if (*argv == NULL || fstat(HARNESS, &kind) < 0 || !S_ISSOCK(kind.st_mode)) {
    fprintf(stderr,
            "usage: supervise [--core BYTES] [--group FOLDER]… [NAME=VALUE…] COMMAND…\n"
            "Standard input has to be a socket.\n");
    return 2;
  }
  int notes[2];
  fcntl(HARNESS, F_SETFD, FD_CLOEXEC);
  if (socketpair(AF_UNIX, SOCK_DGRAM, 0, notes) < 0) return 2;
  for (int i = 0; i < 2; i++) fcntl(notes[i], F_SETFD, FD_CLOEXEC);
  /* Only SIGKILL and SIGSTOP reach the supervisor or the holder. */
  sigset_t every, before, waiting;
  sigfillset(&every);
  sigprocmask(SIG_SETMASK, &every, &before);
  waiting = every;
  sigdelset(&waiting, SIGCHLD);
  signal(SIGCHLD, on_child);
#ifdef __linux__
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_DUMPABLE, 0); /* the command must not get its descriptors */
#endif
  take_priority();
  descendants_if_many(MOST_PROCESSES); /* from here on, further processes belong to the command */

  pid_t self = getpid(), holder = fork();
  if (holder < 0) {
    report("error %d\n", errno);
    return 1;
  }
  if (holder == 0) {
    close(notes[0]);
    run_holder(argv, notes[1], core, &before, self);
  }
  close(notes[1]);
  struct supervised cell = {.holder = holder, .notes = notes[0]};
  watch(&cell, &waiting);
  if (!report_end(&cell, sweep(&cell))) group_remove();
  return 0;
}
