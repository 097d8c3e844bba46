/* Makes the guard's library a Node addon too, because Bun loads an addon in a fraction of the
 * time that a foreign function needs. */
#include <stddef.h>

#include "../guard/go-guard.h"

/* Part of Node-API. Weak, so that a process without a JavaScript runtime can load the library. */
__attribute__((weak)) int napi_throw_error(void *env, const char *code, const char *message);

GUARD_API void *napi_register_module_v1(void *env, void *exports);

void *napi_register_module_v1(void *env, void *exports) {
  if (GuardInstall() < 0 && napi_throw_error != NULL) {
    napi_throw_error(env, "ERR_GO_GUARD", "the guard cannot find the stacks: is /proc mounted?");
  }
  return exports;
}
