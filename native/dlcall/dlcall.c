/* call(library, symbol, …integers): a foreign function call for a runtime without one (Node). It
 * loads the library, calls its `int32_t symbol(…)` with up to two 32-bit integers on this
 * thread, and returns the result. */
#include <dlfcn.h>
#include <node_api.h>
#include <stdint.h>

enum { LONGEST = 4096, MOST_ARGUMENTS = 4 };

static bool read_string(napi_env env, napi_value value, char *out) {
  size_t length;
  return napi_get_value_string_utf8(env, value, out, LONGEST, &length) == napi_ok &&
         length < LONGEST - 1;
}

static napi_value call(napi_env env, napi_callback_info info) {
  napi_value arguments[MOST_ARGUMENTS], result;
  size_t count = MOST_ARGUMENTS;
  char path[LONGEST], symbol[LONGEST];
  int32_t numbers[2] = {0, 0};
  bool good = napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count >= 2 &&
              count <= MOST_ARGUMENTS && read_string(env, arguments[0], path) &&
              read_string(env, arguments[1], symbol);
  for (size_t i = 2; good && i < count; i++) {
    good = napi_get_value_int32(env, arguments[i], &numbers[i - 2]) == napi_ok;
  }
  if (!good) {
    napi_throw_type_error(env, NULL,
                          "call(library, symbol, …) takes two strings and up to two integers");
    return NULL;
  }
  /* Never closed, because a Go runtime cannot be unloaded. */
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  /* Every platform passes integer arguments in registers, so extra ones do no harm. */
  int32_t (*function)(int32_t, int32_t) = NULL;
  if (library != NULL) *(void **)&function = dlsym(library, symbol);
  if (function == NULL) {
    napi_throw_error(env, NULL, dlerror());
    return NULL;
  }
  int32_t returned = function(numbers[0], numbers[1]);
  return napi_create_int32(env, returned, &result) == napi_ok ? result : NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "call", NAPI_AUTO_LENGTH, call, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "call", function) != napi_ok) {
    napi_throw_error(env, NULL, "cannot define call()");
    return NULL;
  }
  return exports;
}
