/* The signal guard is part of this library: the same sources, compiled once more. */
#include "../../native/guard/core.c"
#include "../../native/guard/entry.c"
#include "../../native/guard/frame.c"
#include "../../native/guard/guard.c"
#include "../../native/guard/hook.c"
#include "../../native/guard/stacks.c"

#include <stdlib.h>

/* While the library is being loaded, before Go's runtime starts: a suspension that came between that
 * and a later call would find the handler with Go's flag, and the thread that sends it may hold what
 * the loading thread needs. */
__attribute__((constructor(101))) static void install_first(void) {
  const char *wanted = getenv("GO_WARMUP_GUARD");
  if (wanted == NULL || strcmp(wanted, "0") != 0) GuardInstall();
}
