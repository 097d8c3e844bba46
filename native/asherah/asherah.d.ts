// The Node-API surface of the module "asherah", by the names that the asherah packages document.
// Every function throws, or rejects with, an AsherahError where the library says no, and throws a
// TypeError where an argument is not of the kind that stands here.

export interface AsherahConfig {
  /** Part of the names of keys. */
  ServiceName: string;
  /** Part of the names of keys. */
  ProductID: string;
  /** Where keys are kept. */
  Metastore: "memory" | "rdbms" | "dynamodb" | "test-debug-memory";
  /** What encrypts the topmost keys; left out, "aws". */
  KMS?: "aws" | "static" | "test-debug-static" | null;
  /** For rdbms: a MySQL data source name, or a URL that begins with postgres://. */
  ConnectionString?: string | null;
  /** For Aurora with write forwarding. */
  ReplicaReadConsistency?: "eventual" | "global" | "session" | null;
  DynamoDBEndpoint?: string | null;
  DynamoDBRegion?: string | null;
  DynamoDBTableName?: string | null;
  EnableRegionSuffix?: boolean | null;
  /** Region to ARN, for KMS "aws". */
  RegionMap?: Record<string, string> | null;
  PreferredRegion?: string | null;
  /** Nanoseconds after which a key is replaced; left out, 90 days. */
  ExpireAfter?: number | null;
  /** Nanoseconds after which a cached key is looked up again; left out, one hour. */
  CheckInterval?: number | null;
  EnableSessionCaching?: boolean | null;
  /** Left out, 1000. */
  SessionCacheMaxSize?: number | null;
  /** Nanoseconds; left out, two hours. */
  SessionCacheDuration?: number | null;
  /** Says on standard error what the SDK does. */
  Verbose?: boolean | null;
  /** Not known to the published library: 32 bytes in the place of its key for KMS "static". */
  StaticMasterKey?: string | null;
}

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

/** Returns the record, as JSON. */
export function encrypt(partition: string, data: Uint8Array): string;
export function encrypt_async(partition: string, data: Uint8Array): Promise<string>;
export function encrypt_string(partition: string, data: string): string;
export function encrypt_string_async(partition: string, data: string): Promise<string>;

/** Returns the data of a record. */
export function decrypt(partition: string, record: string): Buffer;
export function decrypt_async(partition: string, record: string): Promise<Buffer>;
export function decrypt_string(partition: string, record: string): string;
export function decrypt_string_async(partition: string, record: string): Promise<string>;

/** Buffers of synchronous calls of up to so many bytes lie on the stack: 0 to 65536, at first 2048. */
export function set_max_stack_alloc_item_size(bytes: number): void;
/** More room for every result: 0 to 1048576, at first 0, which is enough. */
export function set_safety_padding_overhead(bytes: number): void;
/** Is told of every failure in this thread, with level 3; null ends that. */
export function set_log_hook(hook: ((level: number, message: string) => void) | null): void;
export function get_setup_status(): boolean;
/** Sets environment variables, a JSON object, for the library. */
export function setenv(environment: string): void;
