/** What `warmup()` found and did. */
export interface Outcome {
  readonly runtime: "bun" | "deno" | "node" | "unknown";
  /** The runtime's own version; empty where it is unknown. */
  readonly version: string;
  /** `platform`-`arch`, with Node's names. */
  readonly target: string;
  /**
   * `required`: without a library `warmup()` throws. `optional`: one is loaded if it is there.
   * `none`: nothing is loaded.
   */
  readonly need: "required" | "optional" | "none";
  readonly why: string;
  /** A library was loaded and did its work: the guard on Linux, the warm-up library elsewhere. */
  readonly warmed: boolean;
  /**
   * `installed`: this package's guard is installed. `inside`: the warm-up library that was loaded has one.
   * `off`: the environment switches it off (`GO_WARMUP_GUARD=0`). `absent`: there is none.
   *
   * Each read asks the guard: `lost` means that it was `installed` or `inside`, and that a library has
   * since replaced a guarded handler past it. `guardStats().lost` names the signals.
   */
  readonly guard: "installed" | "lost" | "inside" | "off" | "absent";
  /** The library that was loaded. */
  readonly library: string | null;
  /**
   * This package's guard, which `guardStats()` reads. Also loaded to watch a guard that is `inside`.
   * Not enumerable.
   */
  readonly guardLibrary: string | null;
}

export interface Options {
  /** Load the library wherever the runtime has a foreign function interface, needed or not. */
  force?: boolean;
  /** Load this library in the place of the package's own, as `GO_WARMUP_LIBRARY` does. */
  library?: string;
}

/** The counters of this package's guard, which only grow. Signals are given by their numbers. */
export interface GuardStats {
  readonly reason:
    | "installed"
    | "not-yet"
    | "no-handler"
    | "by-another"
    | "platform"
    | "no-stack"
    | "lost"
    | "unknown";
  /** Signals whose handler this guard keeps working. */
  readonly signals: readonly number[];
  /** Signals that another guard keeps working: one inside an addon or a warm-up library. */
  readonly others: readonly number[];
  /** Signals whose handler ran on the thread's own stack, to which the guard moved it. */
  readonly moved: number;
  /** Signals whose handler the kernel itself started on the thread's own stack. */
  readonly direct: number;
  /** Signals that interrupted Go or another handler, and were handled where they came. */
  readonly foreign: number;
  /** Signals handled where they came because the thread's own stack is full. */
  readonly tight: number;
  /** Signals handled where they came because their frame or stack was not understood. */
  readonly unknown: number;
  /** Threads whose stack was looked up. */
  readonly searched: number;
  /** Handlers that are not guarded because all places are taken. */
  readonly full: number;
  /** Signals that a library handles too. */
  readonly shared: readonly number[];
  /** Signals whose handler was replaced past this guard or another, and is not guarded any more. */
  readonly lost: readonly number[];
  /** Handlers that this guard put back after that. */
  readonly restored: number;
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
 * Loads what this runtime needs. A second call in a thread returns the outcome of the first. Its `guard`
 * is always the present state.
 *
 * @throws GoWarmupError if a library is needed and cannot be loaded.
 */
export declare function warmup(options?: Options): Outcome;

/**
 * Calls `warmup()`, then `load`, and returns the result of `load`. An error that `load` throws, or that
 * its promise rejects with, goes through `explain`.
 */
export declare function wrap<T>(load: () => T): T;

/**
 * Returns the error for an addon that did not load. For an addon with Go that was not converted for musl,
 * it is a `GoWarmupError` with the code `ERR_GO_WARMUP_MUSL`, which names the addon, the relocation and
 * the command that converts it. Otherwise it is `error` itself.
 */
export declare function explain(error: unknown): unknown;

/** Reads the guard's counters. Returns `null` if this package has installed no guard. */
export declare function guardStats(): GuardStats | null;
