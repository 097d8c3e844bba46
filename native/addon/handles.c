/* Makes many Node-API objects where the runtime itself must open the handle scope: in the
 * constructor of the class Handle, and when asynchronous work completes, in manyLater(n).
 *
 * `new Handle(i)` has `number` i and `parts`, an array of objects that hold i again.
 * manyLater(n) returns a promise of an array of n objects { number }. The code opens no scope
 * itself, on purpose. */
#include <stdlib.h>

#include "glue.h"

enum { PARTS = 4 };

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  int32_t wanted;
} Job;

/* Makes { number }. */
static napi_status numbered(napi_env env, int32_t number, napi_value *object) {
  napi_value value;
  napi_status status = napi_create_object(env, object);
  if (status == napi_ok) status = napi_create_int32(env, number, &value);
  return status == napi_ok ? napi_set_named_property(env, *object, "number", value) : status;
}

/* Makes an array of `count` objects, numbered upwards from `first` by `step`. */
static napi_status many(napi_env env, int32_t first, int32_t step, int32_t count,
                        napi_value *array) {
  napi_status status = napi_create_array_with_length(env, (size_t)count, array);
  for (int32_t i = 0; i < count && status == napi_ok; i++) {
    napi_value object;
    status = numbered(env, first + i * step, &object);
    if (status == napi_ok) status = napi_set_element(env, *array, (uint32_t)i, object);
  }
  return status;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  free(data);
}

static napi_value construct(napi_env env, napi_callback_info info) {
  napi_value self, argument, value, parts;
  size_t count = 1;
  int32_t number, *kept = malloc(sizeof *kept);
  if (kept == NULL || napi_get_cb_info(env, info, &count, &argument, &self, NULL) != napi_ok ||
      napi_get_value_int32(env, argument, &number) != napi_ok) {
    free(kept);
    napi_throw_type_error(env, NULL, "new Handle(number)");
    return NULL;
  }
  *kept = number;
  if (napi_wrap(env, self, kept, finalize, NULL, NULL) != napi_ok) {
    free(kept);
    return throw_last_error(env);
  }
  if (napi_create_int32(env, number, &value) != napi_ok ||
      napi_set_named_property(env, self, "number", value) != napi_ok ||
      many(env, number, 0, PARTS, &parts) != napi_ok ||
      napi_set_named_property(env, self, "parts", parts) != napi_ok) {
    return throw_last_error(env);
  }
  return self;
}

/* The data that C keeps for this object. */
static napi_value kept(napi_env env, napi_callback_info info) {
  napi_value self, value;
  int32_t *number;
  if (napi_get_cb_info(env, info, NULL, NULL, &self, NULL) != napi_ok ||
      napi_unwrap(env, self, (void **)&number) != napi_ok ||
      napi_create_int32(env, *number, &value) != napi_ok) {
    return throw_last_error(env);
  }
  return value;
}

static void execute(napi_env env, void *data) {
  (void)env;
  (void)data;
  Run();
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value array = NULL;
  if (status == napi_ok && many(env, 0, 1, job->wanted, &array) != napi_ok) array = NULL;
  settle(env, job->deferred, array);
  napi_delete_async_work(env, job->work);
  free(job);
}

static napi_value many_later(napi_env env, napi_callback_info info) {
  napi_value argument, promise, name;
  size_t count = 1;
  Job *job = calloc(1, sizeof *job);
  if (job == NULL || napi_get_cb_info(env, info, &count, &argument, NULL, NULL) != napi_ok ||
      napi_get_value_int32(env, argument, &job->wanted) != napi_ok || job->wanted < 0) {
    free(job);
    napi_throw_type_error(env, NULL, "manyLater(n) takes a number");
    return NULL;
  }
  if (napi_create_string_utf8(env, "manyLater", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok) {
    free(job);
    return throw_last_error(env);
  }
  if (napi_queue_async_work(env, job->work) != napi_ok) {
    napi_delete_async_work(env, job->work);
    free(job);
    return throw_last_error(env);
  }
  return promise;
}

napi_status add_handles(napi_env env, napi_value exports) {
  const napi_property_descriptor methods[] = {
      {.utf8name = "kept", .method = kept, .attributes = napi_default},
  };
  napi_value class;
  napi_status status = napi_define_class(env, "Handle", NAPI_AUTO_LENGTH, construct, NULL,
                                         sizeof methods / sizeof *methods, methods, &class);
  if (status == napi_ok) status = napi_set_named_property(env, exports, "Handle", class);
  return status == napi_ok ? add_function(env, exports, "manyLater", many_later) : status;
}
