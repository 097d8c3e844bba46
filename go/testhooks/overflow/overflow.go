// Package overflow exports a function that ends the process by a stack overflow in Go.
package overflow

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import "runtime/debug"

// Overflow recurses until Go ends the process. It lowers the limit first, to get there soon.
//
//export Overflow
func Overflow() int32 {
	debug.SetMaxStack(1 << 20)
	return deeper(1)
}

//go:noinline
func deeper(n int32) int32 {
	var frame [256]byte
	frame[n%256] = byte(n)
	return deeper(n+1) + int32(frame[n%128])
}
