/* setup, shutdown, encrypt and decrypt. Each runs on the JavaScript thread, or as `…_async` on a
 * thread of the runtime's pool, and then returns a promise. */
#include <alloca.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../addon/glue.h"
#include "asherah.h"

typedef enum { SETUP, SHUTDOWN, ENCRYPT, DECRYPT } Kind;

typedef struct {
  const char *name;
  Kind kind;
  bool text; /* the result is a string; an argument may always be one */
  bool later; /* on a pool thread */
} Operation;

static const Operation operations[] = {
    {"setup", SETUP, true, false},
    {"setup_async", SETUP, true, true},
    {"shutdown", SHUTDOWN, true, false},
    {"shutdown_async", SHUTDOWN, true, true},
    {"encrypt", ENCRYPT, false, false},
    {"encrypt_async", ENCRYPT, false, true},
    {"encrypt_string", ENCRYPT, true, false},
    {"encrypt_string_async", ENCRYPT, true, true},
    {"decrypt", DECRYPT, false, false},
    {"decrypt_async", DECRYPT, false, true},
    {"decrypt_string", DECRYPT, true, false},
    {"decrypt_string_async", DECRYPT, true, true},
};

/* The buffers of a call. `finish` frees those on the heap. */
typedef struct {
  const Operation *operation;
  void *input[INPUTS], *output;
  void *heap[INPUTS + 1];
  int32_t result;
  Failure failure;
} Call;

typedef struct {
  napi_async_work work;
  napi_deferred deferred;
  Call call;
} Job;

static size_t inputs_of(Kind kind) { return kind == SETUP ? 1 : kind == SHUTDOWN ? 0 : 2; }

static bool has_string(napi_env env, napi_value object, const char *name) {
  napi_value value;
  napi_valuetype type;
  bool pending = false;
  if (napi_get_named_property(env, object, name, &value) == napi_ok &&
      napi_typeof(env, value, &type) == napi_ok && type == napi_string) {
    return true;
  }
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) {
    char message[64];
    snprintf(message, sizeof message, "the configuration's %s has to be a string", name);
    napi_throw_type_error(env, NULL, message);
  }
  return false;
}

/* A configuration is JSON, or an object that becomes JSON. */
static bool read_configuration(napi_env env, napi_value value, Source *source) {
  napi_valuetype type = napi_undefined;
  napi_value global, json, stringify;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_object) {
    return read_text(env, "the configuration, if it is no object,", value, source);
  }
  if (!has_string(env, value, "ServiceName") || !has_string(env, value, "ProductID")) return false;
  if (napi_get_global(env, &global) != napi_ok ||
      napi_get_named_property(env, global, "JSON", &json) != napi_ok ||
      napi_get_named_property(env, json, "stringify", &stringify) != napi_ok ||
      napi_call_function(env, json, stringify, 1, &value, &value) != napi_ok) {
    throw_last_error(env);
    return false;
  }
  return read_text(env, "the configuration", value, source);
}

static bool read_partition(napi_env env, const Operation *operation, napi_value value,
                           Source *source) {
  if (!read_text(env, "the partition", value, source)) return false;
  if (source->length > 0) return true;
  int32_t result = operation->kind == ENCRYPT ? ENCRYPT_FAILED : DECRYPT_FAILED;
  return refuse_call(env, operation->name, result, "partition id cannot be empty");
}

static bool read_sources(napi_env env, napi_callback_info info, const Operation *operation,
                         Source *sources) {
  napi_value arguments[INPUTS];
  size_t count = INPUTS;
  if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) != napi_ok) {
    throw_last_error(env);
    return false;
  }
  switch (operation->kind) { /* Missing arguments are undefined. */
    case SHUTDOWN:
      return true;
    case SETUP:
      return read_configuration(env, arguments[0], &sources[0]);
    case ENCRYPT:
    case DECRYPT:
      return read_partition(env, operation, arguments[0], &sources[0]) &&
             read_data(env, operation->kind == ENCRYPT ? "the data" : "the record", arguments[1],
                       &sources[1]);
  }
  return false;
}

/* The bytes that the result needs, with its header; 0 if there is no result. */
static size_t output_size(Kind kind, const Source *sources) {
  if (kind == DECRYPT) return room_of(&sources[1]) + atomic_load(&padding);
  if (kind != ENCRYPT) return 0;
  int32_t size = EstimateBuffer((int32_t)sources[1].length, (int32_t)sources[0].length);
  return size < 0 ? HEADER : (size_t)size + atomic_load(&padding);
}

static void give_output(Call *call, size_t size) {
  if (size == 0 || call->output == NULL) return;
  size_t room = size - HEADER;
  const int32_t header[2] = {room > INT32_MAX ? INT32_MAX : (int32_t)room, 0};
  memcpy(call->output, header, HEADER);
}

/* Runs on either thread. */
static void perform(Call *call) {
  switch (call->operation->kind) {
    case SETUP:
      call->result = SetupJson(call->input[0]);
      break;
    case SHUTDOWN:
      Shutdown();
      break;
    case ENCRYPT:
      call->result = EncryptToJson(call->input[0], call->input[1], call->output);
      break;
    case DECRYPT:
      call->result = DecryptFromJson(call->input[0], call->input[1], call->output);
      break;
  }
  if (call->result != 0) note_failure(&call->failure, call->operation->name, call->result);
}

/* The JavaScript value of the call, or NULL if it failed. */
static napi_value value_of(napi_env env, const Call *call) {
  napi_value value = NULL;
  napi_status status;
  if (call->result != 0) return NULL;
  const char *data = call->output == NULL ? NULL : (const char *)call->output + HEADER;
  if (data == NULL) {
    status = napi_get_undefined(env, &value);
  } else if (call->operation->kind == ENCRYPT || call->operation->text) {
    status = napi_create_string_utf8(env, data, length_of(call->output), &value);
  } else {
    status = napi_create_buffer_copy(env, length_of(call->output), data, NULL, &value);
  }
  return status == napi_ok ? value : NULL;
}

static void release(Call *call) {
  for (size_t i = 0; i <= INPUTS; i++) free(call->heap[i]);
}

/* Wipes the secrets of a finished call, and frees its buffers. */
static void finish(Call *call) {
  Kind kind = call->operation->kind;
  void *secret = kind == ENCRYPT ? call->input[1] : kind == DECRYPT ? call->output : NULL;
  if (secret != NULL && call->result != NO_MEMORY) {
    wipe((char *)secret + HEADER, length_of(secret));
  }
  release(call);
}

/* Uses the caller's stack for small sizes, and the heap for others. */
#define TAKE(call, slot, size) \
  ((size) <= atomic_load(&stack_limit) ? alloca(size) : ((call)->heap[slot] = malloc(size)))

static napi_value call_now(napi_env env, const Operation *operation, const Source *sources) {
  Call call = {.operation = operation};
  size_t size = output_size(operation->kind, sources);
  bool ready = true;
  for (size_t i = 0; i < inputs_of(operation->kind); i++) {
    size_t room = room_of(&sources[i]);
    call.input[i] = TAKE(&call, i, room);
    ready = ready && call.input[i] != NULL;
  }
  if (size > 0) call.output = TAKE(&call, INPUTS, size);
  if (!ready || (size > 0 && call.output == NULL)) {
    note_failure(&call.failure, operation->name, call.result = NO_MEMORY);
  }
  for (size_t i = 0; i < inputs_of(operation->kind) && call.result == 0; i++) {
    if (!place(env, &sources[i], call.input[i])) {
      release(&call);
      return NULL;
    }
  }
  if (call.result == 0) {
    give_output(&call, size);
    perform(&call);
  }
  napi_value value = value_of(env, &call);
  if (call.result != 0) {
    throw_failure(env, &call.failure);
  } else if (value == NULL) {
    throw_last_error(env);
  }
  finish(&call);
  return value;
}

static void execute(napi_env env, void *data) {
  (void)env;
  perform(&((Job *)data)->call);
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value = status == napi_ok ? value_of(env, &job->call) : NULL;
  if (job->call.result != 0) {
    napi_value error = error_of(env, &job->call.failure);
    if (error != NULL) napi_reject_deferred(env, job->deferred, error);
  } else {
    settle(env, job->deferred, value); /* no value: the job was cancelled */
  }
  napi_delete_async_work(env, job->work);
  finish(&job->call);
  free(job);
}

static void throw_no_memory(napi_env env) {
  napi_throw_error(env, "ERR_ASHERAH_NO_MEMORY", "out of memory");
}

/* A job with filled buffers, or NULL and an exception. */
static Job *prepare(napi_env env, const Operation *operation, const Source *sources) {
  Job *job = calloc(1, sizeof *job);
  if (job == NULL) {
    throw_no_memory(env);
    return NULL;
  }
  size_t size = output_size(operation->kind, sources);
  bool ready = true;
  for (size_t i = 0; i < inputs_of(operation->kind) && ready; i++) {
    job->call.input[i] = job->call.heap[i] = malloc(room_of(&sources[i]));
    ready = job->call.input[i] != NULL;
  }
  if (ready && size > 0) {
    job->call.output = job->call.heap[INPUTS] = malloc(size);
    ready = job->call.output != NULL;
  }
  bool placed = ready;
  for (size_t i = 0; i < inputs_of(operation->kind) && placed; i++) {
    placed = place(env, &sources[i], job->call.input[i]);
  }
  if (placed) {
    job->call.operation = operation;
    give_output(&job->call, size);
    return job;
  }
  if (!ready) throw_no_memory(env);
  release(&job->call);
  free(job);
  return NULL;
}

static napi_value call_later(napi_env env, const Operation *operation, const Source *sources) {
  napi_value promise, name;
  Job *job = prepare(env, operation, sources);
  if (job == NULL) return NULL;
  if (napi_create_string_utf8(env, operation->name, NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok) {
    finish(&job->call);
    free(job);
    return throw_last_error(env);
  }
  if (napi_create_promise(env, &job->deferred, &promise) != napi_ok ||
      napi_queue_async_work(env, job->work) != napi_ok) {
    napi_delete_async_work(env, job->work);
    finish(&job->call);
    free(job);
    return throw_last_error(env);
  }
  return promise;
}

/* Throws if the call is impossible in this state. The published addon checks this before all
 * else, and throws at once from asynchronous calls too. */
static bool allowed(napi_env env, const Operation *operation) {
  bool needs_setup = operation->kind != SETUP;
  if ((IsSetUp() == 1) == needs_setup) return true;
  if (needs_setup) {
    return refuse_call(env, operation->name, NOT_SET_UP, "Asherah is not set up: call setup first");
  }
  return refuse_call(env, operation->name, SET_UP_ALREADY,
                     "Asherah is set up already: call shutdown first");
}

static napi_value call(napi_env env, napi_callback_info info) {
  const Operation *operation;
  Source sources[INPUTS];
  if (napi_get_cb_info(env, info, NULL, NULL, NULL, (void **)&operation) != napi_ok) {
    return throw_last_error(env);
  }
  if (!allowed(env, operation) || !read_sources(env, info, operation, sources)) return NULL;
  return (operation->later ? call_later : call_now)(env, operation, sources);
}

napi_status add_operations(napi_env env, napi_value exports) {
  napi_status status = napi_ok;
  for (size_t i = 0; i < sizeof operations / sizeof *operations && status == napi_ok; i++) {
    const Operation *each = &operations[i];
    napi_value function;
    status = napi_create_function(env, each->name, NAPI_AUTO_LENGTH, call, (void *)each, &function);
    if (status == napi_ok) status = napi_set_named_property(env, exports, each->name, function);
  }
  return status;
}
