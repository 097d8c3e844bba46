// Package cobhan reads and writes Cobhan buffers: an int32 length, a reserved int32, then the data.
// A negative length means that the data is the name of a file with the contents; the name is as long
// as the absolute value. In a buffer for a result, the length is the room that it has.
//
// A buffer may be at any address. This package cannot check that its memory is as long as it says.
package cobhan

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"
)

// The results of a call, with the numbers that every Cobhan library uses.
const (
	OK             int32 = 0
	NullPointer    int32 = -1
	TooLarge       int32 = -2
	TooSmall       int32 = -3
	JSONInvalid    int32 = -5
	JSONFailed     int32 = -6
	UTF8Invalid    int32 = -7
	FileNotRead    int32 = -8
	FileNotWritten int32 = -9
)

// HeaderSize is how many bytes precede the data.
const HeaderSize = 8

const (
	longestName = 4096
	maximum     = 1<<31 - 1
)

// The meaning of each number, for people.
var (
	errNull     = errors.New("a buffer is a null pointer")
	errTooLarge = errors.New("a buffer is too large")
	errUTF8     = errors.New("a string is not valid UTF-8")
	errNoFiles  = errors.New("buffers in files are not allowed")
)

// Error is a result other than OK, with its reason.
type Error struct {
	Code int32
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

func failed(code int32, err error) *Error { return &Error{code, err} }

var files atomic.Bool

// AllowFiles sets whether a negative length may name a file, and whether a result that does not fit
// its buffer goes to a file. Both are off at first, because a buffer could name any file.
func AllowFiles(allow bool) { files.Store(allow) }

func length(buffer unsafe.Pointer) int32 {
	return int32(binary.NativeEndian.Uint32(unsafe.Slice((*byte)(buffer), 4)))
}

func setLength(buffer unsafe.Pointer, to int32) {
	binary.NativeEndian.PutUint32(unsafe.Slice((*byte)(buffer), 4), uint32(to))
}

func data(buffer unsafe.Pointer, size int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(buffer, HeaderSize)), size)
}

// Bytes returns a copy of a buffer's data.
func Bytes(buffer unsafe.Pointer) ([]byte, *Error) {
	if buffer == nil {
		return nil, failed(NullPointer, errNull)
	}
	size := int64(length(buffer))
	if size < 0 {
		return fromFile(buffer, -size)
	}
	return append(make([]byte, 0, size), data(buffer, int(size))...), nil
}

func fromFile(buffer unsafe.Pointer, size int64) ([]byte, *Error) {
	if !files.Load() {
		return nil, failed(FileNotRead, errNoFiles)
	}
	if size > longestName {
		return nil, failed(TooLarge, errTooLarge)
	}
	content, err := os.ReadFile(string(data(buffer, int(size))))
	if err != nil {
		return nil, failed(FileNotRead, err)
	}
	return content, nil
}

// AllNull returns whether there are bytes and all of them are zero.
func AllNull(content []byte) bool {
	return len(content) > 0 && bytes.Count(content, []byte{0}) == len(content)
}

// HoldsNull returns whether a buffer's own memory is all zero. It reads no file.
func HoldsNull(buffer unsafe.Pointer) bool {
	size := int(length(buffer))
	return size > 0 && AllNull(data(buffer, size))
}

// String returns a copy of the text in a buffer.
func String(buffer unsafe.Pointer) (string, *Error) {
	content, failure := Bytes(buffer)
	if failure != nil {
		return "", failure
	}
	if !utf8.Valid(content) {
		return "", failed(UTF8Invalid, errUTF8)
	}
	return string(content), nil
}

// JSON decodes the JSON in a buffer into the value that `into` points to.
func JSON(buffer unsafe.Pointer, into any) *Error {
	content, failure := Bytes(buffer)
	if failure != nil {
		return failure
	}
	if err := json.Unmarshal(content, into); err != nil {
		return failed(JSONInvalid, err)
	}
	return nil
}

// Put writes content into a buffer, or the name of a file with it if it does not fit.
func Put(content []byte, buffer unsafe.Pointer) *Error {
	if buffer == nil {
		return failed(NullPointer, errNull)
	}
	if len(content) > maximum {
		return failed(TooLarge, errTooLarge)
	}
	room := max(0, int(length(buffer)))
	if len(content) > room {
		return toFile(content, buffer, room)
	}
	copy(data(buffer, room), content)
	setLength(buffer, int32(len(content)))
	return nil
}

func toFile(content []byte, buffer unsafe.Pointer, room int) *Error {
	if !files.Load() {
		return failed(TooSmall, tooSmall(len(content), room))
	}
	file, err := os.CreateTemp("", "cobhan-*")
	if err != nil {
		return failed(FileNotWritten, err)
	}
	name := file.Name()
	_, err = file.Write(content)
	err = errors.Join(err, file.Close())
	switch {
	case err != nil:
		os.Remove(name)
		return failed(FileNotWritten, err)
	case len(name) > room:
		os.Remove(name)
		return failed(TooSmall, tooSmall(len(name), room))
	}
	copy(data(buffer, room), name)
	setLength(buffer, -int32(len(name)))
	return nil
}

func tooSmall(needed, room int) error {
	return fmt.Errorf("a buffer for the result is too small: %d bytes do not fit %d", needed, room)
}

// PutJSON writes a value's JSON into a buffer.
func PutJSON(value any, buffer unsafe.Pointer) *Error {
	content, err := json.Marshal(value)
	if err != nil {
		return failed(JSONFailed, err)
	}
	return Put(content, buffer)
}

// PutInt64 writes a plain number, without a header.
func PutInt64(value int64, at unsafe.Pointer) *Error {
	if at == nil {
		return failed(NullPointer, errNull)
	}
	binary.NativeEndian.PutUint64(unsafe.Slice((*byte)(at), 8), uint64(value))
	return nil
}
