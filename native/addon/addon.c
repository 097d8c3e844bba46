/* The Node-API glue of every fixture: runSync() and runAsync() over the module's `int32_t
 * Run(void)`, also under the names setupSync() and setupAsync().
 *
 * The synchronous call runs on the JavaScript thread, the asynchronous one on a thread of the
 * runtime's pool; that is the whole difference the matrix asks about. */
#include <node_api.h>
#include <stdint.h>
#include <stdlib.h>

extern int32_t Run(void);

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  int32_t result;
} Job;

/* Throws what the last Node-API call complained of, unless an exception is pending already. */
static napi_value throw_last_error(napi_env env) {
  const napi_extended_error_info *info = NULL;
  bool pending = false;
  napi_get_last_error_info(env, &info);
  const char *message = info && info->error_message ? info->error_message : "a Node-API call failed";
  if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) {
    napi_throw_error(env, NULL, message);
  }
  return NULL;
}

static napi_value run_sync(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value result;
  if (napi_create_int32(env, Run(), &result) != napi_ok) return throw_last_error(env);
  return result;
}

static void execute(napi_env env, void *data) {
  (void)env;
  ((Job *)data)->result = Run();
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value;
  if (status == napi_ok && napi_create_int32(env, job->result, &value) == napi_ok) {
    napi_resolve_deferred(env, job->deferred, value);
  } else {
    napi_value message;
    if (napi_create_string_utf8(env, "the work was cancelled", NAPI_AUTO_LENGTH, &message) == napi_ok &&
        napi_create_error(env, NULL, message, &value) == napi_ok) {
      napi_reject_deferred(env, job->deferred, value);
    }
  }
  napi_delete_async_work(env, job->work);
  free(job);
}

static napi_value run_async(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value promise, name;
  Job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    napi_throw_error(env, NULL, "out of memory");
    return NULL;
  }
  if (napi_create_string_utf8(env, "run", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok) {
    free(job);
    return throw_last_error(env);
  }
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, job->work) != napi_ok) {
    napi_delete_async_work(env, job->work);
    free(job);
    return throw_last_error(env);
  }
  return promise;
}

NAPI_MODULE_INIT() {
  static const struct {
    const char *name;
    napi_callback call;
  } functions[] = {
      {"runSync", run_sync},
      {"runAsync", run_async},
      {"setupSync", run_sync},
      {"setupAsync", run_async},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL,
                             &function) != napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok) {
      return throw_last_error(env);
    }
  }
  return exports;
}
