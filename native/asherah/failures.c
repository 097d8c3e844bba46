/* Turns the library's reason for a failure into a JavaScript error, and passes it to the log
 * hook. */
#include <stdio.h>
#include <stdlib.h>

#include "../addon/glue.h"
#include "asherah.h"

enum { LOG_ERROR = 3 }; /* syslog's number, which the asherah packages use */

static const struct {
  int32_t result;
  const char *code;
} codes[] = {
    {-1, "ERR_COBHAN_NULL_POINTER"},
    {-2, "ERR_COBHAN_TOO_LARGE"},
    {-3, "ERR_COBHAN_TOO_SMALL"},
    {-5, "ERR_COBHAN_JSON_INVALID"},
    {-6, "ERR_COBHAN_JSON_FAILED"},
    {-7, "ERR_COBHAN_UTF8_INVALID"},
    {-8, "ERR_COBHAN_FILE_NOT_READ"},
    {-9, "ERR_COBHAN_FILE_NOT_WRITTEN"},
    {NOT_SET_UP, "ERR_ASHERAH_NOT_INITIALIZED"},
    {SET_UP_ALREADY, "ERR_ASHERAH_ALREADY_INITIALIZED"},
    {ENCRYPT_FAILED, "ERR_ASHERAH_ENCRYPT_FAILED"},
    {DECRYPT_FAILED, "ERR_ASHERAH_DECRYPT_FAILED"},
    {-105, "ERR_ASHERAH_BAD_CONFIG"},
    {NO_MEMORY, "ERR_ASHERAH_NO_MEMORY"},
};

static const char *code_of(int32_t result) {
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (codes[i].result == result) return codes[i].code;
  }
  return "ERR_ASHERAH";
}

static void note_reason(Failure *failure, const char *function, int32_t result,
                        const char *reason) {
  failure->function = function;
  failure->result = result;
  failure->length = snprintf(failure->reason, LONGEST_REASON, "%s", reason);
}

void note_failure(Failure *failure, const char *function, int32_t result) {
  note_reason(failure, function, result, "out of memory");
  if (result != NO_MEMORY) failure->length = LastReason(failure->reason, LONGEST_REASON);
}

/* The log hook of this environment, or NULL. */
static napi_value hook_of(napi_env env) {
  napi_ref kept = NULL;
  napi_value hook = NULL;
  if (napi_get_instance_data(env, (void **)&kept) != napi_ok || kept == NULL) return NULL;
  return napi_get_reference_value(env, kept, &hook) == napi_ok ? hook : NULL;
}

static void tell_hook(napi_env env, napi_value message) {
  napi_value hook = hook_of(env), arguments[2] = {NULL, message}, global;
  if (hook == NULL || napi_create_int32(env, LOG_ERROR, &arguments[0]) != napi_ok ||
      napi_get_global(env, &global) != napi_ok) {
    return;
  }
  if (napi_call_function(env, global, hook, 2, arguments, NULL) == napi_pending_exception) {
    napi_value thrown;
    napi_get_and_clear_last_exception(env, &thrown); /* throw the failure instead */
  }
}

napi_value error_of(napi_env env, const Failure *failure) {
  char text[LONGEST_REASON + 64];
  int length =
      snprintf(text, sizeof text, "%s: %.*s", failure->function, failure->length, failure->reason);
  napi_value message, code, error;
  if (napi_create_string_utf8(env, text, (size_t)length, &message) != napi_ok ||
      napi_create_string_utf8(env, code_of(failure->result), NAPI_AUTO_LENGTH, &code) != napi_ok) {
    return NULL;
  }
  tell_hook(env, message);
  return napi_create_error(env, code, message, &error) == napi_ok ? error : NULL;
}

void throw_failure(napi_env env, const Failure *failure) {
  napi_value error = error_of(env, failure);
  if (error != NULL) napi_throw(env, error);
}

bool refuse_call(napi_env env, const char *function, int32_t result, const char *reason) {
  Failure failure;
  note_reason(&failure, function, result, reason);
  throw_failure(env, &failure);
  return false;
}

static napi_value set_log_hook(napi_env env, napi_callback_info info) {
  napi_value hook;
  size_t count = 1;
  napi_valuetype type = napi_undefined;
  napi_ref before = NULL, kept = NULL;
  if (napi_get_cb_info(env, info, &count, &hook, NULL, NULL) != napi_ok || count < 1 ||
      napi_typeof(env, hook, &type) != napi_ok || (type != napi_function && type != napi_null)) {
    napi_throw_type_error(env, NULL, "set_log_hook takes a function, or null");
    return NULL;
  }
  napi_get_instance_data(env, (void **)&before);
  if ((type == napi_function && napi_create_reference(env, hook, 1, &kept) != napi_ok) ||
      napi_set_instance_data(env, kept, NULL, NULL) != napi_ok) {
    return throw_last_error(env);
  }
  if (before != NULL) napi_delete_reference(env, before);
  return NULL;
}

napi_status add_failures(napi_env env, napi_value exports) {
  return add_function(env, exports, "set_log_hook", set_log_hook);
}
