/* Reads facts about a process from /proc, without stopping it. */
#ifndef GOBUN_INSPECTOR_TARGET_H
#define GOBUN_INSPECTOR_TARGET_H

#include "machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct {
  pid_t pid;
  int memory;
  uint64_t gadget; /* the address of an instruction that makes a system call */
  uint64_t wanted_signals;  /* the signals whose action to read */
  bool signals_printed;
  uint64_t within_us;  /* how long a thread may take to stop, in time in which it could run */
  uint64_t give_up_us; /* no further thread is waited for after this */
} Process;

static bool read_memory(const Process *process, uint64_t at, void *into, size_t size) {
  return pread(process->memory, into, size, (off_t)at) == (ssize_t)size;
}

/* Looks for the instruction in code that the process runs, first in the kernel's own page. */
static bool find_gadget(Process *process, const char *maps, bool kernels_own) {
  static unsigned char code[1 << 16];
  FILE *lines = fopen(maps, "r");
  if (lines == NULL) return false;
  char *line = NULL;
  size_t room = 0;
  while (process->gadget == 0 && getline(&line, &room, lines) > 0) {
    uint64_t start, end;
    char rights[8];
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, rights) != 3) continue;
    if (rights[0] != 'r' || rights[2] != 'x' || (strstr(line, "[vdso]") != NULL) != kernels_own)
      continue;
    for (uint64_t at = start; at < end && process->gadget == 0; at += sizeof code - 8) {
      size_t size = end - at < sizeof code ? end - at : sizeof code;
      if (!read_memory(process, at, code, size)) break;
      for (size_t i = 0; i + sizeof CALL <= size; i += CALL_STEP) {
        if (memcmp(code + i, CALL, sizeof CALL) != 0) continue;
        process->gadget = at + i;
        break;
      }
    }
  }
  free(line);
  fclose(lines);
  return process->gadget != 0;
}

static uint64_t mask_in(const char *status, const char *key) {
  char line[256];
  uint64_t mask = 0;
  FILE *lines = fopen(status, "r");
  if (lines == NULL) return 0;
  while (fgets(line, sizeof line, lines) != NULL) {
    if (strncmp(line, key, strlen(key)) == 0) mask = strtoull(line + strlen(key), NULL, 16);
  }
  fclose(lines);
  return mask;
}

static int by_number(const void *a, const void *b) { return *(const pid_t *)a - *(const pid_t *)b; }

static pid_t *list_threads(pid_t pid, size_t *count) {
  char path[64];
  pid_t *tids = NULL;
  *count = 0;
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *folder = opendir(path);
  if (folder == NULL) return NULL;
  for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
    pid_t tid = atoi(entry->d_name);
    pid_t *more = tid > 0 ? realloc(tids, (*count + 1) * sizeof *tids) : NULL;
    if (more == NULL) continue;
    tids = more;
    tids[(*count)++] = tid;
  }
  closedir(folder);
  if (*count) qsort(tids, *count, sizeof *tids, by_number);
  return tids;
}

/* Returns 0, or the errno for which a process cannot be inspected. *problem is the reason in words. */
static int open_process(Process *process, const char **problem) {
  char path[64];
  unsigned char head[20];
  snprintf(path, sizeof path, "/proc/%d/exe", (int)process->pid);
  int program = open(path, O_RDONLY | O_CLOEXEC);
  if (program >= 0) {
    bool whole = read(program, head, sizeof head) == (ssize_t)sizeof head;
    close(program);
    *problem = "it runs code of another processor, or of 32 bits";
    if (whole && (head[4] != ELFCLASS64 || (head[18] | head[19] << 8) != MACHINE)) return ENOEXEC;
  }
  snprintf(path, sizeof path, "/proc/%d/mem", (int)process->pid);
  process->memory = open(path, O_RDONLY | O_CLOEXEC);
  *problem = "its memory cannot be read";
  if (process->memory < 0) return errno;
  snprintf(path, sizeof path, "/proc/%d/maps", (int)process->pid);
  *problem = "no instruction that makes a system call was found in it";
  if (!find_gadget(process, path, true) && !find_gadget(process, path, false)) return ENOEXEC;
  snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
  process->wanted_signals = mask_in(path, "SigCgt:") | mask_in(path, "SigIgn:");
  return 0;
}

#endif
