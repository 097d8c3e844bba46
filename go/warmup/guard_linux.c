/* The signal guard is part of this library: the same sources, compiled once more. */
#include "../../native/guard/core.c"
#include "../../native/guard/entry.c"
#include "../../native/guard/frame.c"
#include "../../native/guard/guard.c"
#include "../../native/guard/hook.c"
#include "../../native/guard/stacks.c"

#include <stdlib.h>

void warmup_guard(void) {
  const char *wanted = getenv("GO_WARMUP_GUARD");
  if (wanted == NULL || strcmp(wanted, "0") != 0) GuardInstall();
}
