/* The Node-API functions of the module "asherah", under the names that the asherah packages
 * document. asherah.d.ts has their arguments. This header has the declarations that its files
 * share. */
#ifndef ASHERAH_H
#define ASHERAH_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

/* The library. go/asherah explains each function. */
extern int32_t SetEnv(void *environment);
extern int32_t SetupJson(void *configuration);
extern void Shutdown(void);
extern int32_t IsSetUp(void);
extern int32_t EstimateBuffer(int32_t data, int32_t partition);
extern int32_t EncryptToJson(void *partition, void *data, void *output);
extern int32_t DecryptFromJson(void *partition, void *record, void *output);
extern int32_t LastReason(char *text, int32_t size);

enum { HEADER = 8, INPUTS = 2, LONGEST_REASON = 1024 };

/* Results of the library. NO_MEMORY is the addon's own. */
enum {
  NOT_SET_UP = -100,
  SET_UP_ALREADY = -101,
  ENCRYPT_FAILED = -103,
  DECRYPT_FAILED = -104,
  NO_MEMORY = -200,
};

/* Synchronous calls keep buffers up to this size on the stack. */
extern _Atomic size_t stack_limit;
/* Added to the size of a result's buffer. */
extern _Atomic size_t padding;

/* A JavaScript value that becomes a Cobhan buffer: a text, or the bytes of an array. */
typedef struct {
  napi_value text;
  const void *bytes;
  size_t length;
} Source;

/* Each of these reads a value. If the value has another type, it throws a TypeError that begins
 * with the name of the argument. */
bool read_text(napi_env env, const char *argument, napi_value value, Source *source);
bool read_data(napi_env env, const char *argument, napi_value value, Source *source);

/* The bytes that the buffer of a source needs. A text has a zero byte behind it. */
size_t room_of(const Source *source);

/* Writes the buffer of a source, or throws. */
bool place(napi_env env, const Source *source, void *buffer);

size_t length_of(const void *buffer);

/* Overwrites a secret in a way that the compiler cannot remove. */
void wipe(void *memory, size_t size);

/* An error of the library: the call that failed, its result, and the library's reason. */
typedef struct {
  const char *function;
  int32_t result;
  int32_t length;
  char reason[LONGEST_REASON];
} Failure;

/* Gets the reason of a failure from the library, on the thread that made the call. */
void note_failure(Failure *failure, const char *function, int32_t result);

/* Throws the JavaScript error of a failure. */
void throw_failure(napi_env env, const Failure *failure);

/* Throws the JavaScript error of a call that fails in the addon itself. Returns false. */
bool refuse_call(napi_env env, const char *function, int32_t result, const char *reason);

/* Makes the JavaScript error of a failure, and passes it to the log hook. Returns NULL if it
 * cannot. */
napi_value error_of(napi_env env, const Failure *failure);

/* Each of these adds its functions to the exports. */
napi_status add_failures(napi_env env, napi_value exports);
napi_status add_operations(napi_env env, napi_value exports);
napi_status add_settings(napi_env env, napi_value exports);

#endif
