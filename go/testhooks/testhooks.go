// Package testhooks has the functions of a module that stresses call beside Run. Every fixture
// imports it and so exports them; native/c_fixture has the same functions in C. It imports little,
// because the fixture "simple" must stay small. Functions that need more are in package overflow.
package testhooks

// #include <stdint.h>
// void gobun_sleep(int32_t ms);
// void gobun_call(void *function, void *data);
// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const callers = 8 // goroutines that call back at the same time

// Recover causes a processor fault in Go, and returns 0 if Go turned it into a panic.
//
//export Recover
func Recover() (result int32) {
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			result = 1
		}
	}()
	var nothing *[1 << 10]int32
	return nothing[1]
}

// BlockThreads makes n goroutines sleep in C at the same time, and returns how many came back.
//
//export BlockThreads
func BlockThreads(n, ms int32) int32 {
	var back atomic.Int32
	together(n, func() {
		C.gobun_sleep(C.int32_t(ms))
		back.Add(1)
	})
	return back.Load()
}

// Busy computes and allocates in Go for this many milliseconds, and returns 0.
//
//export Busy
func Busy(ms int32) int32 {
	until := time.Now().Add(time.Duration(ms) * time.Millisecond)
	kept := make([][]byte, 64)
	for i := 0; time.Now().Before(until); i++ {
		kept[i%len(kept)] = make([]byte, 1<<10)
	}
	runtime.KeepAlive(kept)
	return 0
}

// CallBack calls `void function(void *data)` n times from several goroutines, and returns n.
//
//export CallBack
func CallBack(function, data unsafe.Pointer, n int32) int32 {
	var left, done atomic.Int32
	left.Store(n)
	together(callers, func() {
		for left.Add(-1) >= 0 {
			C.gobun_call(function, data)
			done.Add(1)
		}
	})
	return done.Load()
}

func together(n int32, do func()) {
	var group sync.WaitGroup
	for i := int32(0); i < n; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			do()
		}()
	}
	group.Wait()
}
