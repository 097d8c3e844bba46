/* An addon whose finalizers run during a sweep, as those of the experimental version do, and make a
 * value there. No handle scope can be opened then. */
#include <node_api.h>

static int finalized;

static void finalize(napi_env env, void *data, void *hint) {
  napi_value empty;
  (void)data;
  (void)hint;
  finalized += napi_create_string_latin1(env, "", 0, &empty) == napi_ok;
}

static napi_value make(napi_env env, napi_callback_info info) {
  napi_value made = NULL;
  (void)info;
  napi_create_external(env, &finalized, finalize, NULL, &made);
  return made;
}

static napi_value count(napi_env env, napi_callback_info info) {
  napi_value value = NULL;
  (void)info;
  napi_create_int32(env, finalized, &value);
  return value;
}

int32_t node_api_module_get_api_version_v1(void) { return NAPI_VERSION_EXPERIMENTAL; }

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "make", NAPI_AUTO_LENGTH, make, NULL, &function);
  napi_set_named_property(env, exports, "make", function);
  napi_create_function(env, "count", NAPI_AUTO_LENGTH, count, NULL, &function);
  napi_set_named_property(env, exports, "count", function);
  return exports;
}
