// Package main is the fixture "crypto": all steps of package workload in one call.
package main

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import (
	"fmt"
	"os"

	_ "gobun/testhooks" // its exports are this library's too
	_ "gobun/testhooks/overflow"
	_ "gobun/testhooks/signals"
	"gobun/workload"
)

// Run returns 0, or the number of the step that failed. It prints the reason to standard error.
//
//export Run
func Run() int32 {
	failed, err := workload.Lift()
	if err != nil {
		fmt.Fprintln(os.Stderr, "crypto:", err)
	}
	return failed
}

func main() {}
