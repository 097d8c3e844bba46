// Package engine sets Asherah up, and holds its session factory with everything to close after it.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/crypto/aead"
	"github.com/godaddy/asherah/go/appencryption/pkg/log"
	"github.com/godaddy/asherah/go/securememory/memguard"
)

// Engine encrypts and decrypts until it is closed. Its methods may run at the same time.
type Engine struct {
	factory *appencryption.SessionFactory
	opened  []io.Closer
}

// New sets Asherah up.
func New(options *Options) (*Engine, error) {
	if options.ServiceName == nil || options.ProductID == nil {
		return nil, errors.New("ServiceName and ProductID are required")
	}
	if options.Verbose {
		log.SetLogger(verbose{})
	}
	crypto := aead.NewAES256GCM()
	engine := new(Engine)
	keys, err := engine.masterKeys(options, crypto)
	if err == nil {
		var store appencryption.Metastore
		if store, err = engine.metastore(options); err == nil {
			engine.factory = appencryption.NewSessionFactory(
				&appencryption.Config{
					Service: *options.ServiceName,
					Product: *options.ProductID,
					Policy:  options.policy(),
				},
				store, keys, crypto,
				appencryption.WithSecretFactory(new(memguard.SecretFactory)),
				appencryption.WithMetrics(false),
			)
			return engine, nil
		}
	}
	return nil, errors.Join(err, engine.Close())
}

// Encrypt returns a record of data, for Decrypt.
func (e *Engine) Encrypt(partition string, data []byte) (*appencryption.DataRowRecord, error) {
	session, err := e.factory.GetSession(partition)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Encrypt(context.Background(), data)
}

// Decrypt returns the data of a record.
func (e *Engine) Decrypt(partition string, record *appencryption.DataRowRecord) ([]byte, error) {
	if err := complete(record); err != nil {
		return nil, err
	}
	session, err := e.factory.GetSession(partition)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Decrypt(context.Background(), *record)
}

func complete(record *appencryption.DataRowRecord) error {
	if record.Key == nil || record.Key.ParentKeyMeta == nil {
		return errors.New("the record has no key")
	}
	return nil
}

// Close releases locked memory, connections and keys.
func (e *Engine) Close() error {
	var all []error
	if e.factory != nil {
		all = append(all, e.factory.Close())
	}
	for _, each := range e.opened {
		all = append(all, each.Close())
	}
	return errors.Join(all...)
}

type verbose struct{}

func (verbose) Debugf(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "asherah: "+format+"\n", values...)
}

// closing makes a closer from a function that cannot fail.
type closing func()

func (c closing) Close() error {
	c()
	return nil
}
