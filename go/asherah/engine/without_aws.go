//go:build nodeprecated

package engine

import (
	"errors"

	"github.com/godaddy/asherah/go/appencryption"
)

var errWithoutAWS = errors.New("this build is without AWS")

func awsKeys(*Options, appencryption.AEAD) (appencryption.KeyManagementService, error) {
	return nil, errWithoutAWS
}

func dynamoDB(*Options) (appencryption.Metastore, error) { return nil, errWithoutAWS }
