// Package main is the fixture "setup-full": a Cobhan-style SetupJson with the same workload as
// "crypto". A module such as Asherah does this work when an application sets it up.
package main

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
import "C"

import (
	"encoding/json"
	"fmt"
	"os"
	"unsafe"

	_ "gobun/testhooks" // its exports are this library's too
	_ "gobun/testhooks/overflow"
	_ "gobun/testhooks/signals"
	"gobun/workload"
)

// Cobhan's results: 0, or one of its error numbers.
const (
	cobhanOK           = 0
	cobhanNullPointer  = -1
	cobhanTooLarge     = -2
	cobhanJSONInvalid  = -5
	setupFailed        = -100
	cobhanHeader       = 8 // int32 length, int32 reserved, then the data
	cobhanLargestInput = 1 << 20
)

type config struct {
	ServiceName string `json:"ServiceName"`
	ProductID   string `json:"ProductID"`
	Metastore   string `json:"Metastore"`
	KMS         string `json:"KMS"`
}

// SetupJson takes a Cobhan buffer with a JSON configuration.
//
//export SetupJson
func SetupJson(buffer unsafe.Pointer) int32 {
	if buffer == nil {
		return cobhanNullPointer
	}
	length := *(*int32)(buffer)
	if length < 0 || length > cobhanLargestInput {
		return cobhanTooLarge
	}
	data := unsafe.Slice((*byte)(unsafe.Add(buffer, cobhanHeader)), length)
	return setup(data)
}

// Run calls SetupJson with a fixed configuration, so this fixture starts like the others.
//
//export Run
func Run() int32 {
	return setup([]byte(`{"ServiceName":"service","ProductID":"product","Metastore":"memory","KMS":"static"}`))
}

func setup(data []byte) int32 {
	var given config
	if err := json.Unmarshal(data, &given); err != nil {
		fmt.Fprintln(os.Stderr, "setup-full: configuration:", err)
		return cobhanJSONInvalid
	}
	if given.ServiceName == "" || given.ProductID == "" {
		fmt.Fprintln(os.Stderr, "setup-full: configuration: ServiceName and ProductID are required")
		return setupFailed
	}
	if _, err := workload.Lift(); err != nil {
		fmt.Fprintln(os.Stderr, "setup-full:", err)
		return setupFailed
	}
	return cobhanOK
}

func main() {}
