#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

int main(int count, char **words) {
#ifdef LOGS
  if (!getenv("BUN_DEBUG_QUIET_LOGS")) puts("[SYS] a debug build logs until it is told not to");
#endif
  if (count > 1 && strcmp(words[1], "--revision") == 0) puts(REVISION);
  else printf("%d\n", POOL_STACK_MIB);
  return 0;
}
