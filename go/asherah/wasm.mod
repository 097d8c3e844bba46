module gobun/asherah

go 1.21

require (
	github.com/aws/aws-sdk-go v1.51.21
	github.com/go-sql-driver/mysql v1.8.1
	github.com/godaddy/asherah/go/appencryption v0.7.0
	github.com/godaddy/asherah/go/securememory v0.1.6
	github.com/lib/pq v1.10.9
	gobun v0.0.0-00010101000000-000000000000
)

require (
	filippo.io/edwards25519 v1.1.0 // indirect
	github.com/awnumar/memcall v0.4.0 // indirect
	github.com/awnumar/memguard v0.22.5 // indirect
	github.com/jmespath/go-jmespath v0.4.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/rcrowley/go-metrics v0.0.0-20201227073835-cf1acfcdf475 // indirect
	golang.org/x/crypto v0.31.0 // indirect
	golang.org/x/sys v0.29.0 // indirect
)

replace gobun => ../

replace github.com/awnumar/memcall => ./wasm/memcall
