/* The addon that applications load in place of asherah-node's. It has Asherah's functions, and
 * none of the fixtures'. */
#include "../addon/glue.h"
#include "../asherah/asherah.h"

NAPI_MODULE_INIT() {
  if (add_operations(env, exports) != napi_ok || add_settings(env, exports) != napi_ok ||
      add_failures(env, exports) != napi_ok) {
    return throw_last_error(env);
  }
  return exports;
}
