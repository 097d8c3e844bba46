/* Code that the files of the addon share: errors, promises, exports. */
#include "glue.h"

napi_value throw_last_error(napi_env env) {
  const napi_extended_error_info *info = NULL;
  bool pending = false;
  napi_get_last_error_info(env, &info);
  const char *message = "a Node-API call failed";
  if (info && info->error_message) message = info->error_message;
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) {
    napi_throw_error(env, NULL, message);
  }
  return NULL;
}

void settle(napi_env env, napi_deferred deferred, napi_value value) {
  napi_value message, error;
  if (value != NULL) {
    napi_resolve_deferred(env, deferred, value);
  } else if (napi_create_string_utf8(env, "the work was cancelled, or its result could not be made",
                                     NAPI_AUTO_LENGTH, &message) == napi_ok &&
             napi_create_error(env, NULL, message, &error) == napi_ok) {
    napi_reject_deferred(env, deferred, error);
  }
}

napi_status add_function(napi_env env, napi_value exports, const char *name, napi_callback call) {
  napi_value function;
  napi_status status = napi_create_function(env, name, NAPI_AUTO_LENGTH, call, NULL, &function);
  return status == napi_ok ? napi_set_named_property(env, exports, name, function) : status;
}
