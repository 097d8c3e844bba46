// Package main is the fixture "simple": one Go function and no more.
package main

// // All C is compiled with hidden visibility; what is exported below is not.
// #pragma GCC visibility push(default)
import "C"

// Run returns 0.
//
//export Run
func Run() int32 { return 0 }

func main() {}
