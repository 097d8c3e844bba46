/* Declarations that the files of the addon share. */
#ifndef GLUE_H
#define GLUE_H

#include <node_api.h>
#include <stdint.h>

/* The module under test. go/testhooks and native/c_fixture explain each function. */
extern int32_t Run(void);
extern int32_t Recover(void);
extern int32_t Overflow(void);
extern int32_t TakeSignals(int32_t, int32_t);
extern int32_t SignalsReceived(int32_t);
extern int32_t BlockThreads(int32_t n, int32_t ms);
extern int32_t Busy(int32_t ms);
extern int32_t DeepStack(int32_t bytes);
extern int32_t CallBack(void *function, void *data, int32_t n);

/* Throws the error of the last Node-API call, unless an exception is pending already. Returns
 * NULL. */
napi_value throw_last_error(napi_env env);

/* Resolves if there is a value, and rejects otherwise. */
void settle(napi_env env, napi_deferred deferred, napi_value value);

/* Each of these adds its functions to the exports. */
napi_status add_calls(napi_env env, napi_value exports);
napi_status add_callback(napi_env env, napi_value exports);
napi_status add_handles(napi_env env, napi_value exports);

napi_status add_function(napi_env env, napi_value exports, const char *name, napi_callback call);

#endif
