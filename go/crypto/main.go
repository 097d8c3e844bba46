// Package main is the fixture "crypto": everything package weight holds, in one call.
package main

// // All C is compiled with hidden visibility; what is exported below is not.
// #pragma GCC visibility push(default)
import "C"

import (
	"fmt"
	"os"

	_ "gobun/trials" // its exports are this library's too
	_ "gobun/trials/overflow"
	"gobun/weight"
)

// Run returns 0, or the number of the step that failed; why is on standard error.
//
//export Run
func Run() int32 {
	failed, err := weight.Lift()
	if err != nil {
		fmt.Fprintln(os.Stderr, "crypto:", err)
	}
	return failed
}

func main() {}
