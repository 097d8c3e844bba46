package engine

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/kms"
	"github.com/godaddy/asherah/go/appencryption/pkg/persistence"
)

// The master key that every published asherah package uses for KMS "static".
const staticMasterKey = "thisIsAStaticMasterKeyForTesting"

const connectTimeout = 10 * time.Second

// masterKeys makes the key management service that the options name. As in the published library,
// every name except those of a static key means AWS. The asherah packages give no warning for names
// that begin with `test-`; this code never warns.
func (e *Engine) masterKeys(
	options *Options, crypto appencryption.AEAD,
) (appencryption.KeyManagementService, error) {
	switch options.KMS {
	case "static", "test-debug-static":
		key := options.StaticMasterKey
		if key == "" {
			key = staticMasterKey
		}
		keys, err := kms.NewStatic(key, crypto)
		if err != nil {
			return nil, fmt.Errorf("KMS %q: %w", options.KMS, err)
		}
		e.opened = append(e.opened, closing(keys.Close))
		return keys, nil
	}
	return awsKeys(options, crypto)
}

func (e *Engine) metastore(options *Options) (appencryption.Metastore, error) {
	switch options.Metastore {
	case "memory", "test-debug-memory":
		return persistence.NewMemoryMetastore(), nil
	case "rdbms":
		return e.rdbms(options)
	case "dynamodb":
		return dynamoDB(options)
	}
	return nil, fmt.Errorf(
		"Metastore %q is unknown: give rdbms, dynamodb or memory", options.Metastore)
}

// rdbms opens the database that options name.
func (e *Engine) rdbms(options *Options) (appencryption.Metastore, error) {
	kind, err := databaseType(options)
	if err != nil {
		return nil, fmt.Errorf("Metastore rdbms: %w", err)
	}
	var database *sql.DB
	if kind == persistence.Postgres {
		database, err = openPostgres(options)
	} else {
		database, err = openMySQL(options)
	}
	if err != nil {
		return nil, fmt.Errorf("Metastore rdbms: ConnectionString: %w", err)
	}
	e.opened = append(e.opened, database)
	limited, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := database.PingContext(limited); err != nil {
		return nil, fmt.Errorf("Metastore rdbms: cannot connect: %w", err)
	}
	return persistence.NewSQLMetastore(database, persistence.WithSQLMetastoreDBType(kind)), nil
}
