// A Go library whose C calls each of glibc's fortified functions, as _FORTIFY_SOURCE has compilers do.
package main

// const char *check_all(void);
// void overflow(int);
import "C"

// CheckAll returns nil, or the check that failed.
//
//export CheckAll
func CheckAll() *C.char { return C.check_all() }

// Overflow calls a function with less room than it needs.
//
//export Overflow
func Overflow(function C.int) { C.overflow(function) }

func main() {}
