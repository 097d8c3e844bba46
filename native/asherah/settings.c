/* What is set without anything being encrypted: limits, environment variables, the state. */
#include <stdatomic.h>
#include <stdlib.h>

#include "../addon/glue.h"
#include "asherah.h"

enum { STACK_LIMIT = 2048, HIGHEST_STACK_LIMIT = 64 << 10, HIGHEST_PADDING = 1 << 20 };

_Atomic size_t stack_limit = STACK_LIMIT;
_Atomic size_t padding = 0;

/* Reads the one argument of a setter: a size in bytes. */
static napi_value set_size(napi_env env, napi_callback_info info, _Atomic size_t *to,
                           double highest, const char *refusal) {
  napi_value argument;
  size_t count = 1;
  double size = -1;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_double(env, argument, &size) != napi_ok ||
      !(size >= 0 && size <= highest)) {
    napi_throw_range_error(env, NULL, refusal);
    return NULL;
  }
  atomic_store(to, (size_t)size);
  return NULL;
}

static napi_value set_max_stack_alloc_item_size(napi_env env, napi_callback_info info) {
  return set_size(env, info, &stack_limit, HIGHEST_STACK_LIMIT,
                  "set_max_stack_alloc_item_size takes a number of bytes from 0 to 65536");
}

static napi_value set_safety_padding_overhead(napi_env env, napi_callback_info info) {
  return set_size(env, info, &padding, HIGHEST_PADDING,
                  "set_safety_padding_overhead takes a number of bytes from 0 to 1048576");
}

static napi_value get_setup_status(napi_env env, napi_callback_info info) {
  napi_value status;
  (void)info;
  return napi_get_boolean(env, IsSetUp() == 1, &status) == napi_ok ? status
                                                                   : throw_last_error(env);
}

static napi_value setenv_of(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  Source source;
  if (napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      !read_text(env, "the environment", argument, &source)) {
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
  napi_value error = error_of(env, &failure);
  if (error != NULL) napi_throw(env, error);
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
