/* Settings that need no encryption: limits, environment variables, the state. */
#include <stdatomic.h>
#include <stdlib.h>

#include "../addon/glue.h"
#include "asherah.h"

enum { STACK_LIMIT = 2048, HIGHEST_STACK_LIMIT = 64 << 10, HIGHEST_PADDING = 1 << 20 };

_Atomic size_t stack_limit = STACK_LIMIT;
_Atomic size_t padding = 0;

static size_t clamped(double size, size_t highest) {
  if (!(size > 0)) return 0; /* NaN too */
  return size < (double)highest ? (size_t)size : highest;
}

/* Reads the single argument of a setter. */
static bool read_argument(napi_env env, napi_callback_info info, napi_value *argument) {
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, argument, NULL, NULL) == napi_ok && count == 1) {
    return true;
  }
  napi_throw_type_error(env, NULL, "a number of bytes is missing");
  return false;
}

static napi_value set_max_stack_alloc_item_size(napi_env env, napi_callback_info info) {
  napi_value argument;
  double size;
  if (!read_argument(env, info, &argument)) return NULL;
  if (napi_coerce_to_number(env, argument, &argument) != napi_ok ||
      napi_get_value_double(env, argument, &size) != napi_ok) {
    return throw_last_error(env);
  }
  atomic_store(&stack_limit, clamped(size, HIGHEST_STACK_LIMIT));
  return NULL;
}

/* The published addon reads no argument. Here a number counts, because the estimates of the
 * module "libasherah" may be too small. */
static napi_value set_safety_padding_overhead(napi_env env, napi_callback_info info) {
  napi_value argument;
  double size;
  if (!read_argument(env, info, &argument)) return NULL;
  if (napi_get_value_double(env, argument, &size) == napi_ok) {
    atomic_store(&padding, clamped(size, HIGHEST_PADDING));
  }
  return NULL;
}

static napi_value get_setup_status(napi_env env, napi_callback_info info) {
  napi_value status;
  (void)info;
  return napi_get_boolean(env, IsSetUp() == 1, &status) == napi_ok ? status : throw_last_error(env);
}

static napi_value setenv_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  Source source;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      !read_data(env, "the environment", argument, &source)) {
    return NULL;
  }
  Failure failure;
  void *buffer = malloc(room_of(&source));
  int32_t result = NO_MEMORY;
  if (buffer != NULL && !place(env, &source, buffer)) {
    free(buffer);
    return NULL;
  }
  if (buffer != NULL) result = SetEnv(buffer);
  free(buffer);
  if (result == 0) return NULL;
  note_failure(&failure, "setenv", result);
  throw_failure(env, &failure);
  return NULL;
}

napi_status add_settings(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback call;
  } added[] = {
      {"set_max_stack_alloc_item_size", set_max_stack_alloc_item_size},
      {"set_safety_padding_overhead", set_safety_padding_overhead},
      {"get_setup_status", get_setup_status},
      {"setenv", setenv_of},
  };
  napi_status status = napi_ok;
  for (size_t i = 0; i < sizeof added / sizeof *added && status == napi_ok; i++) {
    status = add_function(env, exports, added[i].name, added[i].call);
  }
  return status;
}
