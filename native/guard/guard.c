/* The functions that go-guard.h promises. */
#define _GNU_SOURCE
#include "go-guard.h"

#include <string.h>

#include "core.h"

static uint64_t reason = GUARD_NOT_YET;

#ifdef __linux__

static int through_guard(int signal, const struct sigaction *act, struct sigaction *old) {
  return guard_sigaction(sigaction, signal, act, old);
}

int32_t GuardInstall(void) {
  uint64_t others;
  if (!guard_prepare()) {
    reason = GUARD_NO_STACK;
    return -1;
  }
  guard_hook(sigaction, through_guard);
  int32_t guarded = __builtin_popcountll(guard_wrap_all());
  uint64_t own = guard_wrapped(&others);
  reason = own ? GUARD_INSTALLED : others ? GUARD_BY_ANOTHER : GUARD_NO_HANDLER;
  return guarded;
}

int32_t GuardRemove(void) {
  guard_hook(through_guard, sigaction);
  reason = GUARD_NOT_YET;
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
  struct GuardStats own = {.size = stats->size, .reason = reason};
  fill(&own);
  size_t bytes = own.size < sizeof own ? own.size : sizeof own;
  memcpy(stats, &own, bytes);
  return (int32_t)bytes;
}

int32_t GuardVersion(void) { return 1; }
