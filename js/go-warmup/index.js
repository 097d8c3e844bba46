// The package's main module. An application requires it before it loads a Go native module.
//
// Every application in Bun on Linux takes the short way to the guard at its start. So that way is in
// this one file: each further module would cost a quarter of all of it, and one of Node's many times
// as much. Everything else is required when it is used.
"use strict";

// The state of this thread: shared by every copy of the package, bundled ones included.
const KEPT = Symbol.for("go-warmup");
const NOT_DONE = { warmed: false, guard: "absent", library: null, guardLibrary: null };

// Loads what this runtime needs, once, and returns the outcome. Throws if a library is needed and
// cannot be loaded.
function warmup(options) {
  const kept = globalThis[KEPT];
  if (kept && (kept.warmed || !(options && (options.force || options.library)))) return kept;
  return (globalThis[KEPT] = (!options && shortWay()) || longWay(options || {}));
}

// Loads the guard in Bun on Linux. Returns `undefined` where something stands in the way: another
// runtime, a file that is missing or damaged, a bundle, a variable of the environment.
function shortWay() {
  try {
    const { arch, env, platform, versions } = process;
    if (platform !== "linux" || !versions.bun) return undefined;
    if (env.GO_WARMUP_DEBUG || env.GO_WARMUP_GUARD || env.GO_WARMUP_LIBRARY) return undefined;
    // In a bundle this module has no file, and __dirname is a folder of the machine that made it.
    if (module.filename !== __filename) return undefined;
    const target = `${platform}-${arch}`;
    const host = { runtime: "bun", version: versions.bun, platform, target };
    // Trying both is faster than detecting the C library: each loader refuses the guard for the other.
    for (const name of [`go-guard-${target}.so`, `go-guard-${target}-musl.so`]) {
      const library = `${__dirname}/lib/${name}`;
      const digest = new Bun.CryptoHasher("sha256").update(Bun.mmap(library)).digest("hex");
      if (digest !== require("./sums.json")[name]) return undefined;
      if (!installs(library)) continue;
      return outcome(host, { warmed: true, guard: "installed", library, guardLibrary: library });
    }
    return undefined;
  } catch {
    return undefined;
  }
}

// The guard is a Node addon too, which installs itself when it is loaded.
function installs(library) {
  try {
    process.dlopen({ exports: {} }, library);
    return true;
  } catch {
    return false;
  }
}

function longWay({ force = false, library = "" }) {
  const host = require("./src/detect.js").detect(globalThis);
  const done = require("./src/decide.js").decide(host, { force, library });
  return outcome(host, { ...NOT_DONE, ...done });
}

// The reasons are for people, who read them later, so they are found on demand.
function outcome(host, done) {
  const needed = () => require("./src/needs.js").needOf(host);
  const { runtime, version, target } = host;
  const { guard, guardLibrary, ...others } = done;
  const found = {
    runtime,
    version,
    target,
    get need() {
      return needed().need;
    },
    get why() {
      return needed().why;
    },
    // Each read asks the guard, because a library may replace a guarded handler at any time.
    get guard() {
      return guardLibrary && isLost(guardLibrary) ? "lost" : guard;
    },
    ...others,
  };
  // For guardStats() of any copy of the package. Not enumerable, because logs have the library.
  return Object.freeze(Object.defineProperty(found, "guardLibrary", { value: guardLibrary }));
}

// Calls warmup(), then loads: the drop-in for a package's `require`.
function wrap(load) {
  if (typeof load !== "function") {
    throw new TypeError("wrap() takes a function that loads: wrap(() => require('./x.node'))");
  }
  warmup();
  try {
    const loaded = load();
    // Only on musl is there something to add to a later failure.
    if (!(loaded instanceof Promise) || !require("./src/libc.js").isMusl()) return loaded;
    return loaded.catch((error) => {
      throw explain(error);
    });
  } catch (error) {
    throw explain(error);
  }
}

// Returns the error of a load. On musl, it may be one that says what is wrong and what to do.
function explain(error) {
  return require("./src/explain.js").explain(error);
}

// Returns the guard's counters, or null if this package has loaded no guard.
function guardStats() {
  const { guardLibrary } = globalThis[KEPT] || NOT_DONE;
  return guardLibrary ? statsOf(guardLibrary) : null;
}

function isLost(library) {
  try {
    return statsOf(library).reason === "lost";
  } catch {
    return false; // before 1.2.5, Bun for musl opens no library through FFI
  }
}

function statsOf(library) {
  return require("./src/stats.js").guardStats(library);
}

module.exports = {
  get GoWarmupError() {
    return require("./src/errors.js").GoWarmupError;
  },
  explain,
  guardStats,
  warmup,
  wrap,
};
