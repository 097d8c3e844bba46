/* Installs the guard while its library is loaded, before Go's runtime starts. A suspension
 * between that start and a later install would find the handler with Go's flag. The thread that
 * sends it may hold a lock that the loading thread needs.
 *
 * Go starts its runtime in a constructor without a priority, which runs after all that have one. */
#include <stdlib.h>
#include <string.h>

#include "../guard/go-guard.h"

__attribute__((constructor(101))) static void install_first(void) {
  const char *wanted = getenv("GO_WARMUP_GUARD");
  if (wanted == NULL || strcmp(wanted, "0") != 0) GuardInstall();
}
