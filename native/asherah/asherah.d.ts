// The Node-API surface of the module "asherah": the names and types of npm's package asherah 3.x.
// If the library reports a failure, a function throws an AsherahError or rejects with one. If an
// argument has another type than here, it throws a TypeError. An asynchronous function throws at once
// if its arguments are wrong or Asherah is not set up, as the published function does.

/** Members that the published types require but allow to be null are optional here. */
export type AsherahConfig = {
  /** The name of this service, a part of the names of keys. */
  readonly ServiceName: string;
  /** The name of the product that owns this service, a part of the names of keys. */
  readonly ProductID: string;
  /** The store of the keys. */
  readonly Metastore: "rdbms" | "dynamodb" | "memory" | "test-debug-memory" | (string & {});
  /** Encrypts the topmost keys: a static key for tests, or AWS for every other name. */
  readonly KMS?: "aws" | "static" | "test-debug-static" | (string & {}) | null;
  /** For rdbms: a MySQL data source name, or a PostgreSQL URL or list of settings. */
  readonly ConnectionString?: string | null;
  /** For rdbms. By default, the connection string decides. */
  readonly SQLMetastoreDBType?: "mysql" | "postgres" | (string & {}) | null;
  /** For Aurora with write forwarding. */
  readonly ReplicaReadConsistency?: "eventual" | "global" | "session" | (string & {}) | null;
  readonly DynamoDBEndpoint?: string | null;
  readonly DynamoDBRegion?: string | null;
  readonly DynamoDBTableName?: string | null;
  readonly EnableRegionSuffix?: boolean | null;
  /** The ARN for each region, for KMS "aws". */
  readonly RegionMap?: { readonly [region: string]: string } | null;
  readonly PreferredRegion?: string | null;
  /** Nanoseconds after which a key is replaced. The default is 90 days. */
  readonly ExpireAfter?: number | null;
  /** Nanoseconds after which a cached key is looked up again. The default is one hour. */
  readonly CheckInterval?: number | null;
  readonly EnableSessionCaching?: boolean | null;
  /** The default is 1000. */
  readonly SessionCacheMaxSize?: number | null;
  /** Nanoseconds. The default is two hours. */
  readonly SessionCacheDuration?: number | null;
  /** Logs the SDK's work to standard error. */
  readonly Verbose?: boolean | null;
  /** Prints a warning to standard error if all data is zero before or after encryption. */
  readonly NullDataCheck?: boolean | null;
  /** Has no effect, because buffers are always copied. */
  readonly DisableZeroCopy?: boolean | null;
  /** Has no effect. */
  readonly EnableCanaries?: boolean | null;
  /** A key of 32 bytes for KMS "static". The published library does not have this setting. */
  readonly StaticMasterKey?: string | null;
};

/** Called with level 3 for every failure in this thread. */
export type LogHookCallback = (level: number, message: string) => void;

export interface AsherahError extends Error {
  /** Such as ERR_ASHERAH_DECRYPT_FAILED, or ERR_COBHAN_JSON_INVALID. */
  code: string;
}

/** Sets Asherah up for the whole process, including its workers. Call it once until shutdown. */
export function setup(config: AsherahConfig | string): void;
export function setup_async(config: AsherahConfig | string): Promise<void>;

/** Waits for running calls, and releases keys, memory and connections. */
export function shutdown(): void;
export function shutdown_async(): Promise<void>;

/** Returns the record as JSON. Encrypts the UTF-8 of a string, or the bytes of a view of memory. */
export function encrypt(partitionId: string, data: string | ArrayBufferView): string;
export function encrypt_async(partitionId: string, data: string | ArrayBufferView): Promise<string>;
export function encrypt_string(partitionId: string, data: string | ArrayBufferView): string;
export function encrypt_string_async(
  partitionId: string,
  data: string | ArrayBufferView,
): Promise<string>;

/** Returns the data of a record. */
export function decrypt(partitionId: string, dataRowRecord: string | ArrayBufferView): Buffer;
export function decrypt_async(
  partitionId: string,
  dataRowRecord: string | ArrayBufferView,
): Promise<Buffer>;
export function decrypt_string(
  partitionId: string,
  dataRowRecord: string | ArrayBufferView,
): string;
export function decrypt_string_async(
  partitionId: string,
  dataRowRecord: string | ArrayBufferView,
): Promise<string>;

/** Sets the size in bytes up to which buffers of synchronous calls are on the stack. The default is
 * 2048. A value below 0 or above 65536 becomes 0 or 65536. */
export function set_max_stack_alloc_item_size(max_item_size: number): void;
/** Accepts any value. A number adds that many bytes to the buffer of every result. */
export function set_safety_padding_overhead(safety_padding_overhead: number): void;
/** null removes the hook. */
export function set_log_hook(logHook: LogHookCallback | null): void;
export function get_setup_status(): boolean;
/** Sets environment variables for the library. The argument is a JSON object. */
export function setenv(environment: string): void;
