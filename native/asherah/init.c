/* The addon "asherah": the functions of every fixture, and those of Asherah. */
#include "../addon/glue.h"
#include "asherah.h"

NAPI_MODULE_INIT() {
  if (add_calls(env, exports) != napi_ok || add_callback(env, exports) != napi_ok ||
      add_handles(env, exports) != napi_ok || add_operations(env, exports) != napi_ok ||
      add_settings(env, exports) != napi_ok || add_failures(env, exports) != napi_ok) {
    return throw_last_error(env);
  }
  return exports;
}
