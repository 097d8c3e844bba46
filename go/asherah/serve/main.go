// Command serve runs Asherah in its own process: serve SOCKET CONFIGURATION. It prints "ready" once
// clients can connect, and answers requests over a Unix socket until its standard input ends.
//
// A request is a uint32 length, then one byte (1 encrypts, 2 decrypts), the uint16 length of the
// partition, the partition, and the data or the record's JSON. An answer is a uint32 length, then
// one byte (0, or 1 for a failure), and the result or the reason. Numbers are little-endian.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"gobun/asherah/engine"

	"github.com/godaddy/asherah/go/appencryption"
)

const (
	encrypts = 1
	decrypts = 2
	longest  = 64 << 20
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve() error {
	if len(os.Args) != 3 {
		return errors.New("give a socket and a configuration")
	}
	options := new(engine.Options)
	if err := json.Unmarshal([]byte(os.Args[2]), options); err != nil {
		return err
	}
	made, err := engine.New(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		return err
	}
	// The socket's file is there before it listens, so a client cannot wait for the file.
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin) // ends with the process that started this one
		listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return made.Close()
		}
		if err != nil {
			return err
		}
		go answer(made, connection)
	}
}

func answer(made *engine.Engine, connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		var length uint32
		if binary.Read(reader, binary.LittleEndian, &length) != nil || length > longest {
			return
		}
		request := make([]byte, length)
		if _, err := io.ReadFull(reader, request); err != nil {
			return
		}
		result, err := perform(made, request)
		status := byte(0)
		if err != nil {
			status, result = 1, []byte(err.Error())
		}
		head := binary.LittleEndian.AppendUint32(nil, uint32(1+len(result)))
		if _, err := connection.Write(append(append(head, status), result...)); err != nil {
			return
		}
	}
}

func perform(made *engine.Engine, request []byte) ([]byte, error) {
	if len(request) < 3 || len(request) < 3+int(binary.LittleEndian.Uint16(request[1:])) {
		return nil, errors.New("a request ends too early")
	}
	behind := 3 + int(binary.LittleEndian.Uint16(request[1:]))
	partition, data := string(request[3:behind]), request[behind:]
	switch request[0] {
	case encrypts:
		record, err := made.Encrypt(partition, data)
		if err != nil {
			return nil, err
		}
		return json.Marshal(record)
	case decrypts:
		record := new(appencryption.DataRowRecord)
		if err := json.Unmarshal(data, record); err != nil {
			return nil, err
		}
		return made.Decrypt(partition, record)
	}
	return nil, errors.New("a request is neither 1 nor 2")
}
