package engine

import (
	"time"

	"github.com/godaddy/asherah/go/appencryption"
)

// Options are what SetupJson takes, under the names that the asherah packages document. Durations
// are Go's: whole nanoseconds. DisableZeroCopy and EnableCanaries are accepted and ignored:
// buffers are always copied, and nothing is written beyond them.
type Options struct {
	// ServiceName and ProductID may be empty, as in the published library, but must be present.
	ServiceName            *string
	ProductID              *string
	ExpireAfter            time.Duration
	CheckInterval          time.Duration
	Metastore              string
	ConnectionString       string
	ReplicaReadConsistency string
	// SQLMetastoreDBType is mysql or postgres. Without it the connection string decides.
	SQLMetastoreDBType   string
	DynamoDBEndpoint     string
	DynamoDBRegion       string
	DynamoDBTableName    string
	SessionCacheMaxSize  int
	SessionCacheDuration time.Duration
	KMS                  string
	RegionMap            map[string]string
	PreferredRegion      string
	EnableRegionSuffix   bool
	EnableSessionCaching bool
	Verbose              bool
	// NullDataCheck prints a warning if data is all zero before or after encryption.
	NullDataCheck bool
	// StaticMasterKey exists in this library only: a key for KMS "static" in place of the published one.
	StaticMasterKey string
}

// NamesLength returns the length in bytes of the names in a key's ID.
func (o *Options) NamesLength() int { return len(*o.ServiceName) + len(*o.ProductID) }

func (o *Options) policy() *appencryption.CryptoPolicy {
	policy := appencryption.NewCryptoPolicy()
	policy.CacheSessions = o.EnableSessionCaching
	replace(&policy.ExpireKeyAfter, o.ExpireAfter)
	replace(&policy.RevokeCheckInterval, o.CheckInterval)
	replace(&policy.SessionCacheMaxSize, o.SessionCacheMaxSize)
	replace(&policy.SessionCacheDuration, o.SessionCacheDuration)
	return policy
}

// replace keeps the default if no value was given.
func replace[T int | time.Duration](value *T, given T) {
	if given != 0 {
		*value = given
	}
}
