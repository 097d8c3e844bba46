/* callSync(name, …integers) and callAsync(…) call a function of the module. runSync() and
 * runAsync(), also under the names setupSync() and setupAsync(), call its Run().
 *
 * The synchronous call runs on the JavaScript thread, and the asynchronous one on a thread of
 * the runtime's pool. The matrix compares these two, so they differ in nothing else. */
#include <stdlib.h>
#include <string.h>

#include "glue.h"

typedef struct {
  const char *name;
  int32_t (*none)(void);
  int32_t (*one)(int32_t);
  int32_t (*two)(int32_t, int32_t);
} Function;

static const Function functions[] = {
    {.name = "Run", .none = Run},
    {.name = "Recover", .none = Recover},
    {.name = "Overflow", .none = Overflow},
    {.name = "Busy", .one = Busy},
    {.name = "DeepStack", .one = DeepStack},
    {.name = "BlockThreads", .two = BlockThreads},
    {.name = "SignalsReceived", .one = SignalsReceived},
    {.name = "TakeSignals", .two = TakeSignals},
};

typedef struct {
  const Function *function;
  int32_t numbers[2];
} Call;

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  Call call;
  int32_t result;
} Job;

static int32_t make(const Call *call) {
  const Function *function = call->function;
  if (function->none) return function->none();
  if (function->one) return function->one(call->numbers[0]);
  return function->two(call->numbers[0], call->numbers[1]);
}

/* Reads (name, …integers), or throws. */
static bool read_call(napi_env env, napi_callback_info info, Call *call) {
  napi_value arguments[3];
  size_t count = 3, length;
  char name[32];
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, arguments[0], name, sizeof name, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "the first argument is the name of a function");
    return false;
  }
  for (size_t i = 1; i < count && i < 3; i++) {
    if (napi_get_value_int32(env, arguments[i], &call->numbers[i - 1]) != napi_ok) {
      napi_throw_type_error(env, NULL, "the arguments of a function are integers");
      return false;
    }
  }
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    if (strcmp(name, functions[i].name) == 0) {
      call->function = &functions[i];
      return true;
    }
  }
  napi_throw_error(env, NULL, "the module has no such function");
  return false;
}

static napi_value call_now(napi_env env, const Call *call) {
  napi_value result;
  if (napi_create_int32(env, make(call), &result) != napi_ok) return throw_last_error(env);
  return result;
}

static void execute(napi_env env, void *data) {
  (void)env;
  Job *job = data;
  job->result = make(&job->call);
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value = NULL;
  if (status == napi_ok && napi_create_int32(env, job->result, &value) != napi_ok) value = NULL;
  settle(env, job->deferred, value);
  napi_delete_async_work(env, job->work);
  free(job);
}

static napi_value call_later(napi_env env, const Call *call) {
  napi_value promise, name;
  Job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    napi_throw_error(env, NULL, "out of memory");
    return NULL;
  }
  job->call = *call;
  if (napi_create_string_utf8(env, "call", NAPI_AUTO_LENGTH, &name) != napi_ok ||
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

static napi_value call_sync(napi_env env, napi_callback_info info) {
  Call call = {0};
  return read_call(env, info, &call) ? call_now(env, &call) : NULL;
}

static napi_value call_async(napi_env env, napi_callback_info info) {
  Call call = {0};
  return read_call(env, info, &call) ? call_later(env, &call) : NULL;
}

static napi_value run_sync(napi_env env, napi_callback_info info) {
  (void)info;
  return call_now(env, &(Call){.function = &functions[0]});
}

static napi_value run_async(napi_env env, napi_callback_info info) {
  (void)info;
  return call_later(env, &(Call){.function = &functions[0]});
}

napi_status add_calls(napi_env env, napi_value exports) {
  static const struct {
    const char *name;
    napi_callback call;
  } added[] = {
      {"runSync", run_sync},     {"runAsync", run_async}, {"setupSync", run_sync},
      {"setupAsync", run_async}, {"callSync", call_sync}, {"callAsync", call_async},
  };
  napi_status status = napi_ok;
  for (size_t i = 0; i < sizeof added / sizeof *added && status == napi_ok; i++) {
    status = add_function(env, exports, added[i].name, added[i].call);
  }
  return status;
}
