//go:build js

// Command wasm is Asherah for a JavaScript runtime's WebAssembly: it gives the global object a
// function asherah(configuration), which returns { encrypt(partition, bytes), decrypt(partition,
// record) }. A function that fails returns an Error.
package main

import (
	"encoding/json"
	"syscall/js"

	"gobun/asherah/engine"

	"github.com/godaddy/asherah/go/appencryption"
)

func main() {
	js.Global().Set("asherah", js.FuncOf(func(_ js.Value, arguments []js.Value) any {
		options := new(engine.Options)
		if err := json.Unmarshal([]byte(arguments[0].String()), options); err != nil {
			return failure(err)
		}
		made, err := engine.New(options)
		if err != nil {
			return failure(err)
		}
		return map[string]any{"encrypt": encrypt(made), "decrypt": decrypt(made)}
	}))
	select {}
}

func encrypt(made *engine.Engine) js.Func {
	return js.FuncOf(func(_ js.Value, arguments []js.Value) any {
		data := make([]byte, arguments[1].Length())
		js.CopyBytesToGo(data, arguments[1])
		record, err := made.Encrypt(arguments[0].String(), data)
		if err != nil {
			return failure(err)
		}
		written, err := json.Marshal(record)
		if err != nil {
			return failure(err)
		}
		return string(written)
	})
}

func decrypt(made *engine.Engine) js.Func {
	return js.FuncOf(func(_ js.Value, arguments []js.Value) any {
		record := new(appencryption.DataRowRecord)
		if err := json.Unmarshal([]byte(arguments[1].String()), record); err != nil {
			return failure(err)
		}
		data, err := made.Decrypt(arguments[0].String(), record)
		if err != nil {
			return failure(err)
		}
		bytes := js.Global().Get("Uint8Array").New(len(data))
		js.CopyBytesToJS(bytes, data)
		return bytes
	})
}

func failure(err error) js.Value { return js.Global().Get("Error").New(err.Error()) }
