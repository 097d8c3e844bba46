package engine

import (
	"time"

	"github.com/godaddy/asherah/go/appencryption"
)

// Options are what SetupJson takes, under the names that the asherah packages document. Durations
// are Go's: whole nanoseconds.
type Options struct {
	ServiceName            string
	ProductID              string
	ExpireAfter            time.Duration
	CheckInterval          time.Duration
	Metastore              string
	ConnectionString       string
	ReplicaReadConsistency string
	DynamoDBEndpoint       string
	DynamoDBRegion         string
	DynamoDBTableName      string
	SessionCacheMaxSize    int
	SessionCacheDuration   time.Duration
	KMS                    string
	RegionMap              map[string]string
	PreferredRegion        string
	EnableRegionSuffix     bool
	EnableSessionCaching   bool
	Verbose                bool
	// StaticMasterKey is this library's own: another key than the published one, for KMS "static".
	StaticMasterKey string
}

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
