/* Counts the time in which a thread could run. A deadline must use that time, because a thread
 * that waits for a processor makes no progress, however much wall time passes. */
#ifndef GOBUN_INSPECTOR_ABLE_TIME_H
#define GOBUN_INSPECTOR_ABLE_TIME_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

/* A longer pause between two looks is our own: this program could not run either. */
enum { LOOK_EVERY_US = 5000, LONGEST_GAP_US = 50000 };

typedef struct {
  char folder[48]; /* the thread's, in /proc */
  uint64_t looked_us, ran_ns, able_us;
} AbleTime;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static bool read_line(const char *folder, const char *name, char *line, int size) {
  char path[64];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "r");
  if (file == NULL) return false;
  bool whole = fgets(line, size, file) != NULL;
  fclose(file);
  return whole;
}

/* The time for which the thread ran, in nanoseconds; false if the kernel does not count it. */
static bool ran_ns(const AbleTime *time, uint64_t *ran) {
  char line[128];
  return read_line(time->folder, "schedstat", line, sizeof line) &&
         sscanf(line, "%" SCNu64, ran) == 1;
}

static bool wants_processor(const AbleTime *time) {
  char line[256];
  if (!read_line(time->folder, "stat", line, sizeof line)) return false;
  const char *name_ends = strrchr(line, ')');
  return name_ends != NULL && name_ends[1] == ' ' && name_ends[2] == 'R';
}

static AbleTime able_time(pid_t pid, pid_t tid) {
  AbleTime time = {.looked_us = now_us()};
  snprintf(time.folder, sizeof time.folder, "/proc/%d/task/%d", (int)pid, (int)tid);
  ran_ns(&time, &time.ran_ns);
  return time;
}

/* Adds the time since the last look. If the thread waits for a processor, adds only the time for
 * which it had one. */
static void count(AbleTime *time) {
  uint64_t now = now_us(), passed = now - time->looked_us, ran = 0;
  if (passed < LOOK_EVERY_US) return;
  if (passed > LONGEST_GAP_US) passed = LONGEST_GAP_US;
  bool counted = ran_ns(time, &ran);
  if (counted && wants_processor(time)) {
    uint64_t used = (ran - time->ran_ns) / 1000;
    if (used < passed) passed = used;
  }
  time->looked_us = now;
  time->ran_ns = ran;
  time->able_us += passed;
}

#endif
