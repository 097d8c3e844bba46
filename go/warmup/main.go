// Package main is the warm-up library: the smallest thing that starts a Go runtime.
//
// On Linux it contains the signal guard, and installs it while the library is loaded, before Go's
// runtime starts (guard_linux.c).
//
// An application loads it and calls either function before it loads a larger Go module.
// It has both names because both were published.
package main

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

// Warmup returns 1. If it returns at all, the Go runtime is running.
//
//export Warmup
func Warmup() C.int { return 1 }

// WarmupGoRuntime is Warmup under the name of the first releases.
//
//export WarmupGoRuntime
func WarmupGoRuntime() int32 { return 1 }

func main() {}
