/* The Node-API glue of every fixture. */
#include "glue.h"

NAPI_MODULE_INIT() {
  if (add_calls(env, exports) != napi_ok || add_callback(env, exports) != napi_ok ||
      add_handles(env, exports) != napi_ok) {
    return throw_last_error(env);
  }
  return exports;
}
