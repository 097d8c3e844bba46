#include "descendants.h"

#ifdef __linux__
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* How many scans may pass until everything is stopped. If a fork bomb still runs then, it is killed
 * as it is, and the sweep starts again. */
#define MOST_SCANS 200

struct process {
  pid_t pid, parent;
  char state;
  bool below;
};

static struct process *table;
static size_t count, room;

static bool read_process(pid_t pid, struct process *into) {
  char path[32], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return false;
  text[length] = '\0';
  /* A name may contain anything, also parentheses and newlines. It ends before the last
   * parenthesis. */
  char *end = strrchr(text, ')');
  int parent;
  if (end == NULL || sscanf(end + 1, " %c %d", &into->state, &parent) != 2) return false;
  into->pid = pid;
  into->parent = parent;
  into->below = false;
  return true;
}

static int by_pid(const void *left, const void *right) {
  pid_t a = ((const struct process *)left)->pid, b = ((const struct process *)right)->pid;
  return (a > b) - (a < b);
}

static bool is_below(pid_t pid) {
  struct process key = {.pid = pid};
  struct process *process = bsearch(&key, table, count, sizeof *table, by_pid);
  return process != NULL && process->below;
}

/* Reads all processes of the machine, and marks the descendants. The table has no links to
 * follow, so a chain of any length uses no descriptors and no stack. */
static void scan(void) {
  DIR *folder = opendir("/proc");
  count = 0;
  if (folder == NULL) return;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    if (count == room) {
      size_t more = room == 0 ? 1024 : 2 * room;
      struct process *grown = realloc(table, more * sizeof *table);
      if (grown == NULL) break;
      table = grown;
      room = more;
    }
    if (read_process((pid_t)atoi(entry->d_name), &table[count])) count++;
  }
  closedir(folder);
  qsort(table, count, sizeof *table, by_pid);
  pid_t self = getpid();
  /* A parent usually has the lower number, so one pass usually marks all. */
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < count; i++) {
      struct process *each = &table[i];
      if (each->below || (each->parent != self && !is_below(each->parent))) continue;
      each->below = again = true;
    }
  }
}

int descendants_if_many(int most) {
  static int least = 1 << 16;
  struct sysinfo machine;
  if (sysinfo(&machine) < 0) return 0;
  if (machine.procs < least) least = machine.procs;
  if (machine.procs - least <= most / 2) return 0;
  scan();
  int descendants = 0;
  for (size_t i = 0; i < count; i++) descendants += table[i].below;
  return descendants;
}

void descendants_kill(void) {
  for (int scans = 0; scans < MOST_SCANS; scans++) {
    bool moving = false;
    scan();
    for (size_t i = 0; i < count; i++) {
      if (!table[i].below || strchr("TtZXx", table[i].state) != NULL) continue;
      if (kill(table[i].pid, SIGSTOP) == 0) moving = true;
    }
    if (!moving) break;
  }
  for (size_t i = 0; i < count; i++) {
    if (table[i].below) kill(table[i].pid, SIGKILL);
  }
}
#else
int descendants_if_many(int most) {
  (void)most;
  return 0;
}

void descendants_kill(void) {}
#endif
