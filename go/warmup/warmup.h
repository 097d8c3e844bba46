/* The warm-up library: load it and call one function before any larger Go module. */
#ifndef GO_WARMUP_H
#define GO_WARMUP_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the Go runtime if it is not running yet. Returns 1. Call it from any thread, any number
 * of times.
 *
 * On Linux the library installs the signal guard when it is loaded. The guard keeps a JavaScript
 * runtime's thread suspension working next to Go. GO_WARMUP_GUARD=0 in the environment turns it
 * off. */
int Warmup(void);

/* The same function under its name in the first releases. Returns 1. */
int32_t WarmupGoRuntime(void);

#ifdef __cplusplus
}
#endif

#endif
