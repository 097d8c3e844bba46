// The Node-API surface of the module "asherah": the names and types of npm's package asherah 3.x.
// Every function throws, or rejects with, an AsherahError where the library says no, and throws a
// TypeError where an argument is not of the kind that stands here. An asynchronous call throws at
// once where its arguments are wrong or Asherah is not set up, as the published one does.

/** What the published types require and may be null may be left out here. */
export type AsherahConfig = {
  /** The name of this service, a part of the names of keys. */
  readonly ServiceName: string;
  /** The name of the product that owns this service, a part of the names of keys. */
  readonly ProductID: string;
  /** Where keys are kept. */
  readonly Metastore: "rdbms" | "dynamodb" | "memory" | "test-debug-memory" | (string & {});
  /** What encrypts the topmost keys: a static key, for tests, or for every other name AWS. */
  readonly KMS?: "aws" | "static" | "test-debug-static" | (string & {}) | null;
  /** For rdbms: a MySQL data source name, or a PostgreSQL URL or list of settings. */
  readonly ConnectionString?: string | null;
  /** For rdbms; left out, the connection string tells. */
  readonly SQLMetastoreDBType?: "mysql" | "postgres" | (string & {}) | null;
  /** For Aurora with write forwarding. */
  readonly ReplicaReadConsistency?: "eventual" | "global" | "session" | (string & {}) | null;
  readonly DynamoDBEndpoint?: string | null;
  readonly DynamoDBRegion?: string | null;
  readonly DynamoDBTableName?: string | null;
  readonly EnableRegionSuffix?: boolean | null;
  /** Region to ARN, for KMS "aws". */
  readonly RegionMap?: { readonly [region: string]: string } | null;
  readonly PreferredRegion?: string | null;
  /** Nanoseconds after which a key is replaced; left out, 90 days. */
  readonly ExpireAfter?: number | null;
  /** Nanoseconds after which a cached key is looked up again; left out, one hour. */
  readonly CheckInterval?: number | null;
  readonly EnableSessionCaching?: boolean | null;
  /** Left out, 1000. */
  readonly SessionCacheMaxSize?: number | null;
  /** Nanoseconds; left out, two hours. */
  readonly SessionCacheDuration?: number | null;
  /** Prints on standard error what the SDK does. */
  readonly Verbose?: boolean | null;
  /** Prints a complaint on standard error when all data is null before or after its encryption. */
  readonly NullDataCheck?: boolean | null;
  /** Without effect: buffers are always copied. */
  readonly DisableZeroCopy?: boolean | null;
  /** Without effect. */
  readonly EnableCanaries?: boolean | null;
  /** Not known to the published library: 32 bytes in the place of its key for KMS "static". */
  readonly StaticMasterKey?: string | null;
};

/** Is told of every failure in this thread, with level 3. */
export type LogHookCallback = (level: number, message: string) => void;

export interface AsherahError extends Error {
  /** Such as ERR_ASHERAH_DECRYPT_FAILED, or ERR_COBHAN_JSON_INVALID. */
  code: string;
}

/** Sets Asherah up for the whole process, workers included; once, until shutdown. */
export function setup(config: AsherahConfig | string): void;
export function setup_async(config: AsherahConfig | string): Promise<void>;

/** Waits for calls that run, and gives back keys, memory and connections. */
export function shutdown(): void;
export function shutdown_async(): Promise<void>;

/** Returns the record, as JSON. A string is encrypted as its UTF-8, a view of memory as its bytes. */
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

/** Buffers of synchronous calls of up to so many bytes lie on the stack: 0 to 65536, at first 2048.
 * What is below or above is taken for these. */
export function set_max_stack_alloc_item_size(max_item_size: number): void;
/** Takes anything. A number is room that is added to every result, which none needs. */
export function set_safety_padding_overhead(safety_padding_overhead: number): void;
/** null ends it. */
export function set_log_hook(logHook: LogHookCallback | null): void;
export function get_setup_status(): boolean;
/** Sets environment variables, a JSON object, for the library. */
export function setenv(environment: string): void;
