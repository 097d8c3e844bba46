package engine

import (
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/godaddy/asherah/go/appencryption/pkg/persistence"
	"github.com/lib/pq"
)

// The start of a connection string for PostgreSQL: a URL, or a list of settings, `host=… user=…`.
// A string for MySQL has an `@` or a bracket before its first `=`.
var ofPostgres = regexp.MustCompile(`^\s*(?:postgres(?:ql)?://|[a-z_]+\s*=)`)

// A driver's error may quote the string, and so the password in it.
var errNotOfPostgres = errors.New(
	"it is neither a URL that begins with postgres:// nor a list such as host=… user=… dbname=…")

// databaseType returns the database of a connection string: the one in SQLMetastoreDBType, or else
// the one that the string looks like.
func databaseType(options *Options) (persistence.SQLMetastoreDBType, error) {
	switch options.SQLMetastoreDBType {
	case "":
		if ofPostgres.MatchString(options.ConnectionString) {
			return persistence.Postgres, nil
		}
		return persistence.MySQL, nil
	case "mysql":
		return persistence.MySQL, nil
	case "postgres":
		return persistence.Postgres, nil
	case "oracle":
		return "", errors.New(`SQLMetastoreDBType "oracle" has no driver here: give mysql or postgres`)
	}
	return "", fmt.Errorf(
		"SQLMetastoreDBType %q is unknown: give mysql or postgres", options.SQLMetastoreDBType)
}

func openPostgres(options *Options) (*sql.DB, error) {
	connector, err := pq.NewConnector(options.ConnectionString)
	if err != nil {
		return nil, errNotOfPostgres
	}
	return sql.OpenDB(connector), nil
}

func openMySQL(options *Options) (*sql.DB, error) {
	config, err := mysql.ParseDSN(options.ConnectionString)
	if err != nil {
		return nil, err
	}
	config.ParseTime = true // as the published library has it
	if options.ReplicaReadConsistency != "" {
		if config.Params == nil {
			config.Params = map[string]string{}
		}
		quoted := "'" + strings.ReplaceAll(options.ReplicaReadConsistency, "'", "''") + "'"
		config.Params["aurora_replica_read_consistency"] = quoted
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}
