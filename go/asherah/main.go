// Package main is the module "asherah": the Asherah SDK under the C interface of libasherah, over
// Cobhan buffers. LastReason, IsSetUp and AllowTempFileBuffers are not in the published library.
package main

// // All C is compiled with hidden visibility, except the exports below.
// #pragma GCC visibility push(default)
// #include "reason.h"
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"gobun/asherah/cobhan"
	"gobun/asherah/engine"

	"github.com/godaddy/asherah/go/appencryption"
)

// libasherah's own results, beside those of Cobhan.
const (
	notInitialized     int32 = -100
	alreadyInitialized int32 = -101
	encryptFailed      int32 = -103
	decryptFailed      int32 = -104
	badConfig          int32 = -105
)

var (
	errNotSetUp     = errors.New("Asherah is not set up: call setup first")
	errAlreadySetUp = errors.New("Asherah is set up already: call shutdown first")
)

// setUp is the result of SetupJson.
type setUp struct {
	*engine.Engine
	names         int // how long the names are that a key's ID is made of
	nullDataCheck bool
}

// The engine of this process. Calls that use it hold the lock for reading, so that Shutdown waits
// for them. Code that only checks for an engine takes no lock, because setting up may wait for a
// database, and shutting down for calls.
var (
	lock    sync.RWMutex
	current atomic.Pointer[setUp]
)

// answer runs a call and returns its result. A panic is a failure, and the reason is kept.
func answer(otherwise int32, do func() error) (result int32) {
	defer func() {
		if panicked := recover(); panicked != nil {
			result = explain(otherwise, fmt.Errorf("panic: %v", panicked))
		}
	}()
	if err := do(); err != nil {
		return explain(otherwise, err)
	}
	return cobhan.OK
}

func explain(otherwise int32, err error) int32 {
	text := err.Error()
	C.gobun_keep_reason((*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)))
	var known *cobhan.Error
	switch {
	case errors.As(err, &known):
		return known.Code
	case errors.Is(err, errNotSetUp):
		return notInitialized
	case errors.Is(err, errAlreadySetUp):
		return alreadyInitialized
	}
	return otherwise
}

// SetEnv sets the environment variables in a JSON object. Go does not see later changes otherwise.
//
//export SetEnv
func SetEnv(environment unsafe.Pointer) int32 {
	return answer(badConfig, func() error {
		given := map[string]string{}
		if failure := cobhan.JSON(environment, &given); failure != nil {
			return failure
		}
		for name, value := range given {
			if err := os.Setenv(name, value); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

// SetupJson sets Asherah up by a JSON configuration.
//
//export SetupJson
func SetupJson(configuration unsafe.Pointer) int32 {
	return answer(badConfig, func() error {
		options := new(engine.Options)
		if failure := cobhan.JSON(configuration, options); failure != nil {
			return failure
		}
		lock.Lock()
		defer lock.Unlock()
		if current.Load() != nil {
			return errAlreadySetUp
		}
		made, err := engine.New(options)
		if err != nil {
			return err
		}
		current.Store(&setUp{made, options.NamesLength(), options.NullDataCheck})
		return nil
	})
}

// Shutdown waits for running calls, and releases everything that SetupJson allocated.
//
//export Shutdown
func Shutdown() {
	answer(badConfig, func() error {
		lock.Lock()
		defer lock.Unlock()
		closed := current.Swap(nil)
		if closed == nil {
			return nil
		}
		return closed.Close()
	})
}

// IsSetUp returns 1 or 0.
//
//export IsSetUp
func IsSetUp() int32 {
	if current.Load() == nil {
		return 0
	}
	return 1
}

// AllowTempFileBuffers sets whether buffers may name files. At first they may not.
//
//export AllowTempFileBuffers
func AllowTempFileBuffers(allow int32) { cobhan.AllowFiles(allow != 0) }

// The bytes of a record beside its data: AES-GCM's nonce and tag, the record's own JSON with numbers
// of any length, and a name, in which JSON may write each byte as \u00XX.
const (
	sealed       = 12 + 16
	envelope     = 256
	escapedBytes = 6
)

// EstimateBuffer returns a buffer size, with the header, that fits any record of this many bytes. It
// is never too small, whatever characters the names have.
//
//export EstimateBuffer
func EstimateBuffer(data, partition int32) int32 {
	if data < 0 || partition < 0 {
		return cobhan.TooLarge
	}
	ids := 0
	if used := current.Load(); used != nil {
		ids = used.names
	}
	encoded := (int64(data) + sealed + 2) / 3 * 4
	size := cobhan.HeaderSize + envelope + encoded + escapedBytes*(int64(partition)+int64(ids))
	if size > math.MaxInt32 {
		return cobhan.TooLarge
	}
	return int32(size)
}

// EncryptToJson encrypts, and writes the record's JSON.
//
//export EncryptToJson
func EncryptToJson(partition, data, output unsafe.Pointer) int32 {
	return answer(encryptFailed, func() error {
		record, err := encrypt(partition, data)
		if err != nil {
			return err
		}
		return orNil(cobhan.PutJSON(record, output))
	})
}

// DecryptFromJson decrypts a record's JSON.
//
//export DecryptFromJson
func DecryptFromJson(partition, record, output unsafe.Pointer) int32 {
	return answer(decryptFailed, func() error {
		given := new(appencryption.DataRowRecord)
		if failure := cobhan.JSON(record, given); failure != nil {
			return failure
		}
		return decrypt(partition, given, output)
	})
}

// Encrypt encrypts, and writes a record's parts.
//
//export Encrypt
func Encrypt(
	partition, data, encrypted, key, created, parent, parentCreated unsafe.Pointer,
) int32 {
	return answer(encryptFailed, func() error {
		record, err := encrypt(partition, data)
		if err != nil {
			return err
		}
		for _, failure := range []*cobhan.Error{
			cobhan.Put(record.Data, encrypted),
			cobhan.Put(record.Key.EncryptedKey, key),
			cobhan.PutInt64(record.Key.Created, created),
			cobhan.Put([]byte(record.Key.ParentKeyMeta.ID), parent),
			cobhan.PutInt64(record.Key.ParentKeyMeta.Created, parentCreated),
		} {
			if failure != nil {
				return failure
			}
		}
		return nil
	})
}

// Decrypt decrypts a record given in parts.
//
//export Decrypt
func Decrypt(
	partition, encrypted, key unsafe.Pointer, created int64,
	parent unsafe.Pointer, parentCreated int64, output unsafe.Pointer,
) int32 {
	return answer(decryptFailed, func() error {
		data, failure := cobhan.Bytes(encrypted)
		if failure != nil {
			return failure
		}
		wrapped, failure := cobhan.Bytes(key)
		if failure != nil {
			return failure
		}
		id, failure := cobhan.String(parent)
		if failure != nil {
			return failure
		}
		meta := &appencryption.KeyMeta{ID: id, Created: parentCreated}
		return decrypt(partition, &appencryption.DataRowRecord{
			Data: data,
			Key: &appencryption.EnvelopeKeyRecord{
				EncryptedKey: wrapped, Created: created, ParentKeyMeta: meta,
			},
		}, output)
	})
}

func encrypt(partition, data unsafe.Pointer) (*appencryption.DataRowRecord, error) {
	name, failure := cobhan.String(partition)
	if failure != nil {
		return nil, failure
	}
	content, failure := cobhan.Bytes(data)
	if failure != nil {
		return nil, failure
	}
	defer clear(content)
	lock.RLock()
	defer lock.RUnlock()
	used := current.Load()
	if used == nil {
		return nil, errNotSetUp
	}
	null := used.nullDataCheck && cobhan.AllNull(content)
	if null {
		complain("input data buffer is all null before encryption (len=%d)", len(content))
	}
	record, err := used.Encrypt(name, content)
	if used.nullDataCheck && !null && cobhan.HoldsNull(data) {
		complain("input data buffer was nulled during encryption (len=%d)", len(content))
	}
	return record, err
}

func decrypt(partition unsafe.Pointer, record *appencryption.DataRowRecord, output unsafe.Pointer) error {
	name, failure := cobhan.String(partition)
	if failure != nil {
		return failure
	}
	lock.RLock()
	defer lock.RUnlock()
	used := current.Load()
	if used == nil {
		return errNotSetUp
	}
	content, err := used.Decrypt(name, record)
	if err != nil {
		return err
	}
	defer clear(content)
	return orNil(cobhan.Put(content, output))
}

// complain prints the warning of NullDataCheck, in the words of the published library.
func complain(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "asherah: "+format+"\n", values...)
}

// orNil keeps a nil pointer from becoming an error that is not nil.
func orNil(failure *cobhan.Error) error {
	if failure == nil {
		return nil
	}
	return failure
}

func main() {}
