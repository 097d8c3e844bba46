//go:build !application

package main

import "C"

import (
	"bytes"
	"encoding/json"
	"errors"

	"gobun/asherah/engine"
	_ "gobun/testhooks" // its exports are this library's too
	_ "gobun/testhooks/overflow"
	_ "gobun/testhooks/signals"

	"github.com/godaddy/asherah/go/appencryption"
)

// The configuration that Run sets up, in the form of SetupJson.
const runWith = `{"ServiceName":"service","ProductID":"product","Metastore":"memory","KMS":"static","EnableSessionCaching":true}`

const runFailed int32 = 1

// Run sets up an Asherah of its own, encrypts and decrypts data, shuts it down, and returns 0. It may
// run on many threads at once, and does not touch the Asherah of SetupJson.
//
//export Run
func Run() int32 {
	return answer(runFailed, func() error {
		options := new(engine.Options)
		if err := json.Unmarshal([]byte(runWith), options); err != nil {
			return err
		}
		made, err := engine.New(options)
		if err != nil {
			return err
		}
		return errors.Join(roundTrip(made), made.Close())
	})
}

func roundTrip(asherah *engine.Engine) error {
	const partition = "partition"
	data := []byte("a secret to keep")
	record, err := asherah.Encrypt(partition, data)
	if err != nil {
		return err
	}
	written, err := json.Marshal(record)
	if err != nil {
		return err
	}
	read := new(appencryption.DataRowRecord)
	if err := json.Unmarshal(written, read); err != nil {
		return err
	}
	decrypted, err := asherah.Decrypt(partition, read)
	if err == nil && !bytes.Equal(decrypted, data) {
		err = errors.New("what was decrypted is not what was encrypted")
	}
	return err
}
