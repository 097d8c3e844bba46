// Package main is the warm-up library: the smallest thing that starts a Go runtime.
//
// On Linux it brings the signal guard, which is installed while the library is loaded, before Go's
// runtime starts (guard_linux.c).
//
// An application loads it and calls either function before it loads a larger Go module.
// Both names are served because both were published.
package main

// // All C is compiled with hidden visibility; what is exported below is not.
// #pragma GCC visibility push(default)
import "C"

// Warmup returns 1; that it returns at all says that the Go runtime runs.
//
//export Warmup
func Warmup() C.int { return 1 }

// WarmupGoRuntime is Warmup under the name of the first releases.
//
//export WarmupGoRuntime
func WarmupGoRuntime() int32 { return 1 }

func main() {}
