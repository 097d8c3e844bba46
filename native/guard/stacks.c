/* Which stack a stack pointer is on, told without a lock, an allocation or a call of libc.
 *
 * The main thread's stack is found once, outside of handlers. Any other thread that libc made has its
 * thread pointer at the top of the memory that holds its stack, also where a program supplied that
 * memory. So its stack is in what is mapped without a break below the thread pointer; a thread looks
 * that up when it gets its first signal. Where in it the stack ends is not written there: libc's guard
 * pages may be of the kind that are no mapping of their own (MADV_GUARD_INSTALL), and the main stack
 * ends where its limit is. So the kernel is asked for the memory below the stack pointer whenever a
 * signal finds the thread deeper than any before. */
#define _GNU_SOURCE
#include "entry.h"
#include "raw.h"

#ifdef __linux__

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

enum { PAGE = 4096 }; /* the smallest there is */

/* Without a limit the main stack may grow down to what is mapped next, which is terabytes away, and
 * what is mapped later lies in between. */
static const uintptr_t MAIN_MOST = UINT64_C(1) << 40;

static uintptr_t main_low, main_high, main_seen = UINTPTR_MAX;

/* Where the memory that holds this thread's stack begins, and the lowest place that was seen to be
 * stack; initial-exec, so that a handler may touch it. */
static __thread struct {
  uintptr_t low, seen;
} own __attribute__((tls_model("initial-exec")));

typedef struct {
  uintptr_t start, end;
  bool ours; /* memory as a stack's is: readable, writable, of no file */
} Mapping;

/* Reads /proc/…/maps a character at a time from a small buffer. */
typedef struct {
  int fd;
  uint32_t at, held;
  char bytes[512];
} Reader;

GUARD_ONCE static int next_character(Reader *reader) {
  if (reader->at == reader->held) {
    long got = guard_syscall3(SYS_read, reader->fd, (long)reader->bytes, sizeof reader->bytes);
    if (got <= 0) return -1;
    reader->at = 0;
    reader->held = (uint32_t)got;
  }
  return (unsigned char)reader->bytes[reader->at++];
}

GUARD_ONCE static int next_number(Reader *reader, uintptr_t *number) {
  *number = 0;
  for (;;) {
    int c = next_character(reader);
    unsigned decimal = (unsigned)c - '0', letter = (unsigned)c - 'a';
    if (decimal > 9 && letter > 5) return c;
    unsigned digit = decimal > 9 ? letter + 10 : decimal;
    *number = *number << 4 | digit;
  }
}

/* start-end perms offset device inode … */
static bool next_mapping(Reader *reader, Mapping *mapping) {
  uintptr_t skipped, inode;
  if (next_number(reader, &mapping->start) != '-' || next_number(reader, &mapping->end) != ' ') {
    return false;
  }
  bool readable = next_character(reader) == 'r', writable = next_character(reader) == 'w';
  for (int c = 0; c != ' ';) {
    if ((c = next_character(reader)) < 0) return false;
  }
  next_number(reader, &skipped); /* offset */
  if (next_number(reader, &skipped) != ':') return false;
  next_number(reader, &skipped);
  int c = next_number(reader, &inode);
  mapping->ours = readable && writable && inode == 0;
  while (c != '\n') {
    if (c < 0) return false;
    c = next_character(reader);
  }
  return true;
}

static bool open_maps(Reader *reader) {
  /* Not /proc/self, which is empty once the main thread has ended. */
  static const char *const PATHS[] = {"/proc/thread-self/maps", "/proc/self/maps"};
  for (unsigned each = 0; each < 2; each++) {
    long fd = guard_syscall4(SYS_openat, AT_FDCWD, (long)PATHS[each], O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) continue;
    reader->fd = (int)fd;
    reader->at = reader->held = 0;
    return true;
  }
  return false;
}

/* Finds the mapping that holds `address`. *low is where the memory that is joined to it begins, and
 * *below where the mapping before that ends. */
static bool find_mapping(uintptr_t address, uintptr_t *low, uintptr_t *end, uintptr_t *below) {
  Reader reader;
  Mapping mapping;
  bool found = false, joined = false;
  uintptr_t last_end = 0, last_low = 0, last_below = 0;
  if (!open_maps(&reader)) return false;
  while (!found && next_mapping(&reader, &mapping)) {
    joined = joined && mapping.ours && mapping.start == last_end;
    if (!joined) {
      last_below = last_end;
      last_low = mapping.start;
    }
    last_end = mapping.end;
    joined = mapping.ours;
    found = mapping.start <= address && address < mapping.end;
  }
  guard_syscall3(SYS_close, reader.fd, 0, 0);
  if (!found || !mapping.ours) return false;
  *low = last_low;
  *end = last_end;
  *below = last_below;
  return true;
}

bool guard_prepare(void) {
  uintptr_t low, high, below, within = getauxval(AT_RANDOM); /* lies on the main thread's stack */
  if (main_high) return true;
  if (within == 0 || !find_mapping(within, &low, &high, &below)) return false;
  main_low = high - below < MAIN_MOST ? below : high - MAIN_MOST;
  __atomic_store_n(&main_high, high, __ATOMIC_RELEASE);
  return true;
}

/* *seen is the lowest place that was there before; all above it is. */
static GuardStack with_room(uintptr_t sp, uintptr_t needed, uintptr_t low, uintptr_t *seen) {
  if (sp - low < needed) return STACK_FULL;
  uintptr_t end = sp - needed;
  if (end >= *seen) return STACK_OWN;
  for (uintptr_t at = end; at < sp; at += PAGE) {
    if (!guard_readable(at)) return STACK_FULL;
  }
  *seen = end;
  return STACK_OWN;
}

GuardStack guard_stack_of(uintptr_t sp, uintptr_t needed) {
  if (sp >= main_low && sp < main_high) return with_room(sp, needed, main_low, &main_seen);
  uintptr_t top = (uintptr_t)__builtin_thread_pointer();
  if (top == 0) return STACK_UNKNOWN;
  if (own.low == 0) {
    uintptr_t low, end, below;
    if (!find_mapping(top, &low, &end, &below)) return STACK_UNKNOWN;
    own.seen = top;
    own.low = low;
    __atomic_fetch_add(&guard_counts.searched, 1, __ATOMIC_RELAXED);
  }
  if (sp < own.low || sp >= top) return STACK_OTHER;
  return with_room(sp, needed, own.low, &own.seen);
}

#endif
