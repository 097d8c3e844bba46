// Package main is the fixture "simple": one Go function, and the test hooks that every fixture has.
package main

// // All C is compiled with hidden visibility; what is exported below is not.
// #pragma GCC visibility push(default)
import "C"

import _ "gobun/testhooks" // its exports are this library's too

// Run returns 0.
//
//export Run
func Run() int32 { return 0 }

// Overflow returns -1: not here. What it needs would bring half of the standard library along.
//
//export Overflow
func Overflow() int32 { return -1 }

// TakeSignals returns -1: not here either, as os/signal brings much along.
//
//export TakeSignals
func TakeSignals(how, number int32) int32 { return -1 }

// SignalsReceived returns 0.
//
//export SignalsReceived
func SignalsReceived(number int32) int32 { return 0 }

func main() {}
