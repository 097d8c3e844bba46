#include "group.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define MOST_GROUPS 8
#define FROZEN_WITHIN_MS 200

static const char *groups[MOST_GROUPS];
static int count;

static int open_in(const char *folder, const char *name, int flags) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s", folder, name);
  if (length < 0 || (size_t)length >= sizeof path) return -1;
  return open(path, flags | O_CLOEXEC);
}

static bool write_in(const char *folder, const char *name, const char *text) {
  int fd = open_in(folder, name, O_WRONLY);
  if (fd < 0) return false;
  bool written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  int error = errno;
  close(fd);
  errno = error;
  return written;
}

static bool holds(const char *folder, const char *name, const char *text) {
  char content[256];
  int fd = open_in(folder, name, O_RDONLY);
  if (fd < 0) return false;
  ssize_t length = read(fd, content, sizeof content - 1);
  close(fd);
  content[length > 0 ? length : 0] = '\0';
  return strstr(content, text) != NULL;
}

/* Counts the processes of a group, and sends each of them a signal unless the signal is 0. */
static int members(const char *folder, int number) {
  int fd = open_in(folder, "cgroup.procs", O_RDONLY), processes = 0;
  FILE *list = fd < 0 ? NULL : fdopen(fd, "r");
  if (list == NULL) return 0;
  for (int pid; fscanf(list, "%d", &pid) == 1; processes++) {
    if (number != 0 && pid > 0) kill((pid_t)pid, number);
  }
  fclose(list);
  return processes;
}

static void freeze(const char *folder, const char *name, const char *state, const char *state_file,
                   const char *frozen) {
  if (!write_in(folder, name, state)) return;
  for (int waited = 0; waited < FROZEN_WITHIN_MS && !holds(folder, state_file, frozen); waited++) {
    usleep(1000);
  }
}

void group_add(const char *folder) {
  if (count < MOST_GROUPS) groups[count++] = folder;
}

int group_enter(void) {
  int error = 0;
  for (int i = 0; i < count; i++) {
    if (!write_in(groups[i], "cgroup.procs", "0")) error = errno;
  }
  return error;
}

int group_count(void) {
  int most = -1;
  for (int i = 0; i < count; i++) {
    int size = members(groups[i], 0);
    if (size > most) most = size;
  }
  return most;
}

void group_kill(void) {
  if (group_count() <= 0) return;
  for (int i = 0; i < count; i++) {
    freeze(groups[i], "cgroup.freeze", "1", "cgroup.events", "frozen 1");
    freeze(groups[i], "freezer.state", "FROZEN", "freezer.state", "FROZEN");
  }
  for (int i = 0; i < count; i++) {
    if (!write_in(groups[i], "cgroup.kill", "1")) members(groups[i], SIGKILL);
  }
  /* In version 1 a frozen process dies only after it is thawed. */
  for (int i = 0; i < count; i++) {
    write_in(groups[i], "cgroup.freeze", "0");
    write_in(groups[i], "freezer.state", "THAWED");
  }
}

void group_remove(void) {
  for (int i = 0; i < count; i++) rmdir(groups[i]);
}
