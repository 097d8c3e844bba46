#include "reason.h"

#include <string.h>

static __thread struct {
  size_t length;
  char text[1024];
} kept;

__attribute__((visibility("hidden"))) void gobun_keep_reason(const char *text, size_t length) {
  if (length > sizeof kept.text) {
    length = sizeof kept.text;
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) length--; /* whole letters */
  }
  memcpy(kept.text, text, length);
  kept.length = length;
}

/* Writes the reason of this thread's last failure into `text`, which has room for `size` bytes.
 * Returns its length, or 0 if nothing has failed. No zero byte follows the text. */
__attribute__((visibility("default"))) int32_t LastReason(char *text, int32_t size) {
  size_t length = size < 0 ? 0 : (size_t)size;
  if (length > kept.length) length = kept.length;
  memcpy(text, kept.text, length);
  return (int32_t)length;
}
