/* callBack(function, n): the module calls into JavaScript n times, from its own threads, through
 * a thread-safe function. Returns a promise of the number of calls that the module made. */
#include <stdlib.h>

#include "glue.h"

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  napi_threadsafe_function function;
  int32_t wanted, made;
} Job;

static void call_once(void *data) {
  napi_call_threadsafe_function(((Job *)data)->function, NULL, napi_tsfn_blocking);
}

static void execute(napi_env env, void *data) {
  (void)env;
  Job *job = data;
  job->made = CallBack((void *)call_once, job, job->wanted);
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value = NULL;
  if (status == napi_ok && napi_create_int32(env, job->made, &value) != napi_ok) value = NULL;
  napi_release_threadsafe_function(job->function, napi_tsfn_release);
  settle(env, job->deferred, value);
  napi_delete_async_work(env, job->work);
  free(job);
}

static napi_value call_back(napi_env env, napi_callback_info info) {
  napi_value arguments[2], promise, name;
  size_t count = 2;
  Job *job = calloc(1, sizeof *job);
  if (job == NULL || napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok ||
      count != 2 || napi_get_value_int32(env, arguments[1], &job->wanted) != napi_ok ||
      napi_create_string_utf8(env, "callBack", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, arguments[0], NULL, name, 0, 1, NULL, NULL, NULL, NULL,
                                      &job->function) != napi_ok) {
    free(job);
    napi_throw_type_error(env, NULL, "callBack(function, n) takes a function and a number");
    return NULL;
  }
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok) {
    napi_release_threadsafe_function(job->function, napi_tsfn_release);
    free(job);
    return throw_last_error(env);
  }
  if (napi_queue_async_work(env, job->work) != napi_ok) {
    napi_release_threadsafe_function(job->function, napi_tsfn_release);
    napi_delete_async_work(env, job->work);
    free(job);
    return throw_last_error(env);
  }
  return promise;
}

napi_status add_callback(napi_env env, napi_value exports) {
  return add_function(env, exports, "callBack", call_back);
}
