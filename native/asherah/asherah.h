/* The Node-API surface of the module "asherah", by the names that the asherah packages document;
 * asherah.d.ts says what each takes. What the files of it share. */
#ifndef ASHERAH_H
#define ASHERAH_H

#include <node_api.h>
#include <stddef.h>
#include <stdint.h>

/* The library; go/asherah says what each does. */
extern int32_t SetEnv(void *environment);
extern int32_t SetupJson(void *configuration);
extern void Shutdown(void);
extern int32_t IsSetUp(void);
extern int32_t EstimateBuffer(int32_t data, int32_t partition);
extern int32_t EncryptToJson(void *partition, void *data, void *output);
extern int32_t DecryptFromJson(void *partition, void *record, void *output);
extern int32_t LastReason(char *text, int32_t size);

enum { HEADER = 8, INPUTS = 2, LONGEST_REASON = 1024 };

/* Results, as the library has them; NO_MEMORY is the addon's own. */
enum {
  NOT_SET_UP = -100,
  SET_UP_ALREADY = -101,
  ENCRYPT_FAILED = -103,
  DECRYPT_FAILED = -104,
  NO_MEMORY = -200,
};

/* Buffers of synchronous calls up to this size lie on the stack. */
extern _Atomic size_t stack_limit;
/* Added to the room that a result is given. */
extern _Atomic size_t padding;

/* A JavaScript value that is to become a Cobhan buffer: text, or else the bytes of an array. */
typedef struct {
  napi_value text;
  const void *bytes;
  size_t length;
} Source;

/* Each reads a value or, where it is none of the kind, throws a TypeError that begins with `what`. */
bool read_text(napi_env env, const char *what, napi_value value, Source *source);
bool read_data(napi_env env, const char *what, napi_value value, Source *source);

/* How much memory the buffer of a source takes: text is written with a zero behind it. */
size_t room_of(const Source *source);

/* Writes a source's buffer, or throws. */
bool place(napi_env env, const Source *source, void *buffer);

size_t length_of(const void *buffer);

/* Overwrites what was secret, in a way that is not optimised away. */
void wipe(void *memory, size_t size);

/* An error of the library: what failed, its result, and the reason that it gave. */
typedef struct {
  const char *function;
  int32_t result;
  int32_t length;
  char reason[LONGEST_REASON];
} Failure;

/* Asks the library, on the thread that made the call, why it failed. */
void note_failure(Failure *failure, const char *function, int32_t result);

/* Throws the JavaScript error of a failure. */
void throw_failure(napi_env env, const Failure *failure);

/* Throws the JavaScript error of a call that fails for a reason of the addon's own; returns false. */
bool refuse_call(napi_env env, const char *function, int32_t result, const char *reason);

/* Makes the JavaScript error of a failure, and tells the log hook; NULL where that failed too. */
napi_value error_of(napi_env env, const Failure *failure);

/* Each adds its functions to the exports. */
napi_status add_failures(napi_env env, napi_value exports);
napi_status add_operations(napi_env env, napi_value exports);
napi_status add_settings(napi_env env, napi_value exports);

#endif
