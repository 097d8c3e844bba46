/* supervise [--core BYTES] CONTROL REPORT [NAME=VALUE…] COMMAND…: runs a command of which nothing
 * survives.
 *
 * The command alone gets the variables: LD_PRELOAD would be of this program otherwise.
 *
 * Every process the command leaves behind is killed when the command ends, when the holder of
 * the other end of the pipe CONTROL closes it, and when that holder dies, by SIGKILL included:
 * the kernel closes its pipes then. On Linux this reaches processes that left the process group
 * too, because orphans become children of this process.
 *
 * The command leaves no core file, or one of at most BYTES.
 *
 * Lines on REPORT: `pid N` once the command runs; `error ERRNO` if it could not be started;
 * `crowd N` if it had too many processes, and was killed for it; `exit CODE USER_US SYSTEM_US MAXRSS_KB STRAYS` or `signal NUMBER …` once nothing of it is left.
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
#include <dirent.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#endif

/* A command may have so many processes below it: one that starts them without end is stopped
 * before the machine is out of them. RLIMIT_NPROC counts all of a user's, and root's not at all. */
#define MOST 256
#define COUNT_EVERY_MS 50

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

/* No variable has a slash in its name, and the path of a program has one before any sign. */
static bool sets_variable(const char *word) { return word[strcspn(word, "=/")] == '='; }

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
  while (*command != NULL && sets_variable(*command)) putenv(*command++);
  if (*command == NULL) _exit(127);
  execvp(command[0], command);
  dprintf(report, "error %d\n", errno);
  _exit(127);
}

#ifdef __linux__
/* Calls itself for every process below `pid`, kills it if asked to, and returns how many they are.
 * A process that is killed starts no others, so the list of its children is read afterwards. */
static int below(pid_t pid, bool killing) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *tasks = opendir(path);
  if (tasks == NULL) return 0;
  int count = 0;
  for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
    if (task->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, task->d_name);
    FILE *list = fopen(path, "r");
    if (list == NULL) continue;
    for (int child; fscanf(list, "%d", &child) == 1; count++) {
      if (killing) kill(child, SIGKILL);
      count += below(child, killing);
    }
    fclose(list);
  }
  closedir(tasks);
  return count;
}

/* Returns how many processes there are below this one, if they can be many: it counts them only
 * once the machine has more tasks than it had. */
static int crowd(void) {
  static int least = 1 << 16;
  struct sysinfo machine;
  if (sysinfo(&machine) < 0) return 0;
  if (machine.procs < least) least = machine.procs;
  return machine.procs - least > MOST / 2 ? below(getpid(), false) : 0;
}
#else
static int below(pid_t pid, bool killing) {
  (void)pid, (void)killing;
  return 0;
}

static int crowd(void) { return 0; }
#endif

/* Kills and reaps until no descendant is left; returns how many were found beside the command. */
static int sweep(pid_t group) {
  int strays = 0;
  for (;;) {
    kill(-group, SIGKILL);
    below(getpid(), true);
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) strays++;
    if (pid < 0 && errno == ECHILD) return strays;
    poll(NULL, 0, 2); /* they die; what was missed is seen when its parent is gone */
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
    fprintf(stderr,
            "usage: supervise [--core BYTES] CONTROL REPORT [NAME=VALUE…] COMMAND…\n");
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

  crowd(); /* from here on, more are the command's */
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
  for (bool over = false;;) {
    pid_t pid = wait4(-1, &status, WNOHANG, &usage);
    if (pid == child) break;
    if (pid > 0) continue; /* an orphan that ended by itself */
    if (poll(waiting, 2, over ? -1 : COUNT_EVERY_MS) < 0) continue;
    int many = over ? 0 : crowd();
    if (many > MOST) dprintf(report, "crowd %d\n", many);
    if (waiting[0].revents || many > MOST) {
      kill(-child, SIGKILL);
      kill(child, SIGKILL);
      waiting[0].fd = -1;
      over = true;
    }
    char drained[64];
    while (read(wake[0], drained, sizeof drained) > 0) {
    }
  }
  int strays = sweep(child);
  report_end(report, status, &usage, strays);
  return 0;
}
