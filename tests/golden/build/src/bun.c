#include <stdio.h>
#include <string.h>

#include "pool.h"

int main(int count, char **words) {
  if (count > 1 && strcmp(words[1], "--revision") == 0) puts(REVISION);
  else printf("%d\n", POOL_STACK_MIB);
  return 0;
}
