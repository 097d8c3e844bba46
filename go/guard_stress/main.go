// Package main is the Go half of native/guard_stress. Its calls keep a thread on a goroutine's stack
// for a moment, in every possible way, and detect foreign writes to that stack.
package main

// #include <stdint.h>
// void torture_call(void *function, void *data);
// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import (
	"runtime"
	"unsafe"

	_ "gobun/testhooks/signals" // its exports are this library's too
)

const marked = 48 // words of a frame that must stay as they were set

// Descend recurses to a depth, and returns how many words of its frames changed meanwhile.
//
//export Descend
func Descend(depth int32) int32 {
	var words [marked]uint64
	for i := range words {
		words[i] = uint64(depth)<<32 | uint64(i)
	}
	changed := int32(0)
	if depth > 0 {
		changed = Descend(depth - 1)
	}
	for i := range words {
		if words[i] != uint64(depth)<<32|uint64(i) {
			changed++
		}
	}
	return changed
}

// Panic causes a processor fault in Go, and returns 0 if Go turned it into a panic.
//
//export Panic
func Panic() (result int32) {
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			result = 1
		}
	}()
	var nothing *[1 << 10]int32
	return nothing[1]
}

// Spawn makes n goroutines descend at the same time, and returns how many words changed.
//
//export Spawn
func Spawn(n, depth int32) int32 {
	counts := make(chan int32)
	for i := int32(0); i < n; i++ {
		go func() { counts <- Descend(depth) }()
	}
	changed := int32(0)
	for i := int32(0); i < n; i++ {
		changed += <-counts
	}
	return changed
}

var crowd = make(chan chan int32)

// Crowd starts n goroutines that wait. Their stacks are as small as the ones that C threads get for
// calls into Go, and lie between them.
//
//export Crowd
func Crowd(n int32) {
	for i := int32(0); i < n; i++ {
		go stand()
	}
	Disturbed()
}

// stand holds words at the very top of its stack, and on request returns how many have changed.
func stand() {
	var words [marked * 4]uint64
	for i := range words {
		words[i] = uint64(i) * 0x9e3779b9
	}
	for answer := range crowd {
		changed := int32(0)
		for i := range words {
			if words[i] != uint64(i)*0x9e3779b9 {
				changed++
			}
		}
		answer <- changed
	}
}

// Disturbed asks goroutines of the crowd, in turn, and returns how many of their words changed.
//
//export Disturbed
func Disturbed() int32 {
	changed, answer := int32(0), make(chan int32)
	for i := 0; i < 512; i++ {
		crowd <- answer
		changed += <-answer
	}
	return changed
}

// Back calls a C function from a goroutine, on the same thread.
//
//export Back
func Back(function, data unsafe.Pointer) { C.torture_call(function, data) }

// Lend runs a C function on a thread that Go started, until it returns.
//
//export Lend
func Lend(function, data unsafe.Pointer) {
	go func() {
		runtime.LockOSThread()
		C.torture_call(function, data)
	}()
}

func main() {}
