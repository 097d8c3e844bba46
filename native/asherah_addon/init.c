/* The addon that applications load in the place of asherah-node's: Asherah's functions, and nothing
 * of the fixtures. */
#include "../addon/glue.h"
#include "../asherah/asherah.h"

NAPI_MODULE_INIT() {
  if (add_operations(env, exports) != napi_ok || add_settings(env, exports) != napi_ok ||
      add_failures(env, exports) != napi_ok) {
    return throw_last_error(env);
  }
  return exports;
}
