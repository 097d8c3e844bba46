/* The fixture "control": C and no Go. What fails here is not Go's doing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) int32_t Run(void) {
  enum { size = 1 << 20 };
  volatile unsigned char *memory = malloc(size);
  if (memory == NULL) return 1;
  memset((void *)memory, 0x5a, size);
  int32_t failed = memory[size - 1] == 0x5a ? 0 : 2;
  free((void *)memory);
  return failed;
}
