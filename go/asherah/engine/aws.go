//go:build !nodeprecated

package engine

import (
	"fmt"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/godaddy/asherah/go/appencryption"
	"github.com/godaddy/asherah/go/appencryption/plugins/aws-v1/kms"
	dynamo "github.com/godaddy/asherah/go/appencryption/plugins/aws-v1/persistence"
)

func awsKeys(
	options *Options, crypto appencryption.AEAD,
) (appencryption.KeyManagementService, error) {
	keys, err := kms.NewAWS(crypto, options.PreferredRegion, options.RegionMap)
	if err != nil {
		return nil, fmt.Errorf("KMS aws: %w", err)
	}
	return keys, nil
}

func dynamoDB(options *Options) (appencryption.Metastore, error) {
	settings := session.Options{SharedConfigState: session.SharedConfigEnable}
	if options.DynamoDBEndpoint != "" {
		settings.Config.Endpoint = aws.String(options.DynamoDBEndpoint)
	}
	if options.DynamoDBRegion != "" {
		settings.Config.Region = aws.String(options.DynamoDBRegion)
	}
	client, err := session.NewSessionWithOptions(settings)
	if err != nil {
		return nil, fmt.Errorf("Metastore dynamodb: %w", err)
	}
	more := []dynamo.DynamoDBMetastoreOption{
		dynamo.WithDynamoDBRegionSuffix(options.EnableRegionSuffix),
	}
	if options.DynamoDBTableName != "" {
		more = append(more, dynamo.WithTableName(options.DynamoDBTableName))
	}
	return dynamo.NewDynamoDBMetastore(client, more...), nil
}
