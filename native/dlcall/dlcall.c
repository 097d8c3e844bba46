/* call(library, symbol): a foreign function call for runtimes that have none of their own (Node).
 * Loads the library, calls its `int32_t symbol(void)` on this thread, and returns the result. */
#include <dlfcn.h>
#include <node_api.h>
#include <stdint.h>

enum { LONGEST = 4096 };

static bool read_string(napi_env env, napi_value value, char *out) {
  size_t length;
  return napi_get_value_string_utf8(env, value, out, LONGEST, &length) == napi_ok &&
         length < LONGEST - 1;
}

static napi_value call(napi_env env, napi_callback_info info) {
  napi_value arguments[2], result;
  size_t count = 2;
  char path[LONGEST], symbol[LONGEST];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count != 2 ||
      !read_string(env, arguments[0], path) || !read_string(env, arguments[1], symbol)) {
    napi_throw_type_error(env, NULL, "call(library, symbol) takes two strings");
    return NULL;
  }
  /* Never closed: a Go runtime cannot be unloaded. */
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  int32_t (*function)(void) = NULL;
  if (library != NULL) *(void **)&function = dlsym(library, symbol);
  if (function == NULL) {
    napi_throw_error(env, NULL, dlerror());
    return NULL;
  }
  return napi_create_int32(env, function(), &result) == napi_ok ? result : NULL;
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
