/* The functions that go-guard.h declares. */
#define _GNU_SOURCE
#include "go-guard.h"

#include <string.h>

#include "core.h"

static uint64_t reason = GUARD_NOT_YET;

#ifdef __linux__

/* Libc's function, looked up before another guard in the process could replace it here. */
static GuardSigaction *real;

static int through_guard(int signal, const struct sigaction *act, struct sigaction *old) {
  /* Another guard may still call this one after it has been removed. */
  if (reason == GUARD_NOT_YET) return real(signal, act, old);
  return guard_sigaction(real, __builtin_return_address(0), signal, act, old);
}

static void *through_dlopen(const char *file, int flags);

static GuardProgramHook opens = {.name = "dlopen", .mine = (void *)through_dlopen};

/* A library that the program loads calls the guard too, before that library can take a signal. */
static void *through_dlopen(const char *file, int flags) {
  void *library = ((void *(*)(const char *, int))opens.real)(file, flags);
  guard_stay_hooked(&opens);
  if (library != NULL && reason != GUARD_NOT_YET) guard_hook(real, through_guard);
  return library;
}

int32_t GuardInstall(void) {
  uint64_t others;
  if (!guard_prepare()) {
    reason = GUARD_NO_STACK;
    return -1;
  }
  if (real == NULL) real = sigaction;
  reason = GUARD_NO_HANDLER;
  guard_hook(real, through_guard);
  guard_hook_program(&opens);
  guard_watch_sends();
  int32_t guarded = __builtin_popcountll(guard_wrap_all());
  uint64_t own = guard_wrapped(&others);
  reason = own ? GUARD_INSTALLED : others ? GUARD_BY_ANOTHER : GUARD_NO_HANDLER;
  return guarded;
}

int32_t GuardRemove(void) {
  if (real == NULL) return 0;
  reason = GUARD_NOT_YET;
  guard_hook(through_guard, real);
  return __builtin_popcountll(guard_unwrap_all());
}

static void fill(struct GuardStats *stats) {
  const GuardCounts *counts = &guard_counts;
  stats->signals = guard_wrapped(&stats->others);
  stats->moved = counts->moved;
  stats->direct = counts->direct;
  stats->foreign = counts->foreign;
  stats->tight = counts->tight;
  stats->unknown = counts->unknown;
  stats->searched = counts->searched;
  stats->full = counts->full;
  stats->restored = counts->restored;
  stats->shared = guard_shared(&stats->lost);
  if (stats->lost) stats->reason = GUARD_LOST;
}

#else

int32_t GuardInstall(void) {
  reason = GUARD_PLATFORM;
  return 0;
}

int32_t GuardRemove(void) { return 0; }

static void fill(struct GuardStats *stats) { (void)stats; }

#endif

int32_t GuardStats(struct GuardStats *stats) {
  if (stats == NULL || stats->size < sizeof stats->size) return -1;
  struct GuardStats filled = {.size = stats->size, .reason = reason};
  fill(&filled);
  size_t bytes = filled.size < sizeof filled ? filled.size : sizeof filled;
  memcpy(stats, &filled, bytes);
  return (int32_t)bytes;
}

int32_t GuardVersion(void) { return 1; }
