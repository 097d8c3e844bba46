package engine

import (
	"time"

	"github.com/godaddy/asherah/go/appencryption"
)

// Options are what SetupJson takes, under the names that the asherah packages document. Durations
// are Go's: whole nanoseconds. DisableZeroCopy and EnableCanaries are taken and mean nothing here:
// buffers are always copied, and nothing is written beyond them.
type Options struct {
	// ServiceName and ProductID may be empty, as in the published library, but have to be there.
	ServiceName            *string
	ProductID              *string
	ExpireAfter            time.Duration
	CheckInterval          time.Duration
	Metastore              string
	ConnectionString       string
	ReplicaReadConsistency string
	// SQLMetastoreDBType is mysql or postgres; left out, the connection string tells.
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
	// NullDataCheck has a complaint printed when data is all null before, or after, it is encrypted.
	NullDataCheck bool
	// StaticMasterKey is this library's own: another key than the published one, for KMS "static".
	StaticMasterKey string
}

// NamesLength returns how many bytes the names have that a key's ID is made of.
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

// replace leaves a default alone where nothing was given.
func replace[T int | time.Duration](value *T, given T) {
	if given != 0 {
		*value = given
	}
}
