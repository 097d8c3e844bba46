/* supervise [--core BYTES] CONTROL REPORT COMMAND…: runs a command of which nothing survives.
 *
 * Every process the command leaves behind is killed when the command ends, when the holder of
 * the other end of the pipe CONTROL closes it, and when that holder dies, by SIGKILL included:
 * the kernel closes its pipes then. On Linux this reaches processes that left the process group
 * too, because orphans become children of this process.
 *
 * The command leaves no core file, or one of at most BYTES.
 *
 * Lines on REPORT: `pid N` once the command runs; `error ERRNO` if it could not be started;
 * `exit CODE USER_US SYSTEM_US MAXRSS_KB STRAYS` or `signal NUMBER …` once nothing of it is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static int wake[2];

static void on_child(int number) {
  int saved = errno;
  (void)number;
  (void)!write(wake[1], "", 1);
  errno = saved;
}

static int inherited(const char *text) {
  char *end;
  long fd = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || fd < 0 || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0) {
    fprintf(stderr, "supervise: %s is not an open file descriptor\n", text);
    exit(2);
  }
  return (int)fd;
}

static void run(char **command, pid_t parent, int report, rlim_t core) {
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  /* Lets the harness's inspector look at a cell that hangs, where Yama restricts tracing. */
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
  if (getppid() != parent) _exit(127);
#else
  (void)parent;
#endif
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  if (limit.rlim_max > core) limit.rlim_max = core;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_CORE, &limit);
  execvp(command[0], command);
  dprintf(report, "error %d\n", errno);
  _exit(127);
}

/* Kills every child of this process that is alive, and returns how many there were. */
static int kill_children(void) {
  int killed = 0;
#ifdef __linux__
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
  FILE *list = fopen(path, "r");
  if (list == NULL) return 0;
  int pid;
  while (fscanf(list, "%d", &pid) == 1) killed += kill(pid, SIGKILL) == 0;
  fclose(list);
#endif
  return killed;
}

/* Kills and reaps until no descendant is left; returns how many were found beside the command. */
static int sweep(pid_t group) {
  int strays = 0;
  for (;;) {
    kill(-group, SIGKILL);
    kill_children();
    pid_t pid = waitpid(-1, NULL, 0);
    if (pid > 0) {
      strays++;
    } else if (errno != EINTR) {
      return strays;
    }
  }
}

static void report_end(int report, int status, const struct rusage *usage, int strays) {
  bool exited = WIFEXITED(status);
  dprintf(report, "%s %d %lld %lld %ld %d\n", exited ? "exit" : "signal",
          exited ? WEXITSTATUS(status) : WTERMSIG(status),
          (long long)usage->ru_utime.tv_sec * 1000000 + usage->ru_utime.tv_usec,
          (long long)usage->ru_stime.tv_sec * 1000000 + usage->ru_stime.tv_usec,
#ifdef __APPLE__
          usage->ru_maxrss / 1024,
#else
          usage->ru_maxrss,
#endif
          strays);
}

int main(int argc, char **argv) {
  rlim_t core = 0;
  if (argc > 2 && strcmp(argv[1], "--core") == 0) {
    core = strtoull(argv[2], NULL, 10);
    argc -= 2;
    argv += 2;
  }
  if (argc < 4) {
    fprintf(stderr, "usage: supervise [--core BYTES] CONTROL REPORT COMMAND…\n");
    return 2;
  }
  int control = inherited(argv[1]), report = inherited(argv[2]);
  if (pipe(wake) < 0) return 2;
  for (int i = 0; i < 2; i++) {
    fcntl(wake[i], F_SETFD, FD_CLOEXEC);
    fcntl(wake[i], F_SETFL, O_NONBLOCK);
  }
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
  sigaction(SIGCHLD, &action, NULL);
  /* A reader that is gone must not end the clean-up. */
  signal(SIGPIPE, SIG_IGN);
#ifdef __linux__
  prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif

  pid_t self = getpid(), child = fork();
  if (child < 0) {
    dprintf(report, "error %d\n", errno);
    return 1;
  }
  if (child == 0) {
    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    run(argv + 3, self, report, core);
  }
  setpgid(child, child);
  dprintf(report, "pid %d\n", (int)child);

  struct pollfd waiting[] = {{.fd = control, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
  struct rusage usage;
  int status;
  for (;;) {
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid == child) break;
    if (pid > 0) continue; /* an orphan that ended by itself */
    if (poll(waiting, 2, -1) < 0) continue;
    if (waiting[0].revents) {
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
      waiting[0].fd = -1;
    }
    char drained[64];
    while (read(wake[0], drained, sizeof drained) > 0) {
    }
  }
  int strays = sweep(child);
  report_end(report, status, &usage, strays);
  return 0;
}
