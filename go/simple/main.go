// Package main is the fixture "simple": one Go function, and the test hooks that every fixture has.
package main

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import _ "gobun/testhooks" // its exports are this library's too

// Run returns 0.
//
//export Run
func Run() int32 { return 0 }

// Overflow returns -1, because the real one would link half of the standard library.
//
//export Overflow
func Overflow() int32 { return -1 }

// TakeSignals returns -1, because os/signal links many other packages.
//
//export TakeSignals
func TakeSignals(how, number int32) int32 { return -1 }

// SignalsReceived returns 0.
//
//export SignalsReceived
func SignalsReceived(number int32) int32 { return 0 }

func main() {}
