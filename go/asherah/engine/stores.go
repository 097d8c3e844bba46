package engine

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/pkg/kms"
	"github.com/godaddy/asherah/go/appencryption/pkg/persistence"
	_ "github.com/lib/pq" // the driver "postgres"
)

// The master key with which every published asherah package fills in KMS "static".
const staticMasterKey = "thisIsAStaticMasterKeyForTesting"

const connectTimeout = 10 * time.Second

// masterKeys makes the key management service that options name. The names that begin with `test-`
// are those under which the asherah packages give no warning; nothing here warns.
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
	case "aws", "":
		return awsKeys(options, crypto)
	}
	return nil, fmt.Errorf("KMS %q is unknown: give aws or static", options.KMS)
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

// rdbms opens MySQL and what speaks as MySQL does, as the published library does, or PostgreSQL
// where the connection string is a URL of it, which that one does not know.
func (e *Engine) rdbms(options *Options) (appencryption.Metastore, error) {
	driver, kind, source := "mysql", persistence.MySQL, options.ConnectionString
	if strings.HasPrefix(source, "postgres://") || strings.HasPrefix(source, "postgresql://") {
		driver, kind = "postgres", persistence.Postgres
	} else {
		config, err := mysql.ParseDSN(source)
		if err != nil {
			return nil, fmt.Errorf("Metastore rdbms: ConnectionString: %w", err)
		}
		config.ParseTime = true // as the published library has it
		if options.ReplicaReadConsistency != "" {
			if config.Params == nil {
				config.Params = map[string]string{}
			}
			quoted := "'" + strings.ReplaceAll(options.ReplicaReadConsistency, "'", "''") + "'"
			config.Params["aurora_replica_read_consistency"] = quoted
		}
		source = config.FormatDSN()
	}
	database, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("Metastore rdbms: %w", err)
	}
	e.opened = append(e.opened, database)
	limited, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if err := database.PingContext(limited); err != nil {
		return nil, fmt.Errorf("Metastore rdbms: cannot connect: %w", err)
	}
	return persistence.NewSQLMetastore(database, persistence.WithSQLMetastoreDBType(kind)), nil
}
