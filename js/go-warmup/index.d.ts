/** What `warmup()` found and did. */
export interface Outcome {
  readonly runtime: "bun" | "deno" | "node" | "unknown";
  /** The runtime's own version; empty where it is unknown. */
  readonly version: string;
  /** `platform`-`arch` as Node spells them. */
  readonly target: string;
  /**
   * `required`: without a library `warmup()` throws. `optional`: one is loaded if it is there.
   * `none`: nothing is loaded.
   */
  readonly need: "required" | "optional" | "none";
  readonly why: string;
  /** The library was loaded, and `Warmup()` returned 1. */
  readonly warmed: boolean;
  /** Whether the loaded library has the signal guard, and whether the environment allows it. */
  readonly guard: "inside" | "off" | "absent";
  /** The library that was loaded. */
  readonly library: string | null;
}

export interface Options {
  /** Load the library wherever the runtime has a foreign function interface, needed or not. */
  force?: boolean;
}

export type ErrorCode =
  | "ERR_GO_WARMUP_MISSING"
  | "ERR_GO_WARMUP_CORRUPT"
  | "ERR_GO_WARMUP_MUSL"
  | "ERR_GO_WARMUP_LOAD"
  | "ERR_GO_WARMUP_RESULT";

export declare class GoWarmupError extends Error {
  readonly code: ErrorCode;
  /** The library it is about. */
  readonly path: string;
}

/**
 * Warms up where this runtime needs it; the second call in a thread returns what the first did.
 *
 * @throws GoWarmupError where a library is needed and cannot be had.
 */
export declare function warmup(options?: Options): Outcome;

/** Calls `warmup()`, then `load`, and returns what `load` does. */
export declare function wrap<T>(load: () => T): T;
