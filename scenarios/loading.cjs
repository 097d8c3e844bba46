// The ways a native module gets into a runtime, and the calls that start its Go runtime.
"use strict";
const { Skip, say } = require("./saying.cjs");

// Calls `int32_t symbol(void)` of a library by the runtime's own foreign function interface.
function callByFfi(cell, library, symbol) {
  if (process.versions.bun) {
    const { dlopen } = require("bun:ffi");
    return dlopen(library, { [symbol]: { args: [], returns: "i32" } }).symbols[symbol]();
  }
  if (cell.dlcall) return require(cell.dlcall).call(library, symbol);
  throw new Skip("this runtime has no foreign function interface");
}

function expectResult(what, result, wanted) {
  if (result !== wanted) throw new Error(`${what} returned ${result}, not ${wanted}`);
}

// Starts a Go runtime by the smallest library there is, before anything larger is loaded.
function warmUp(cell) {
  expectResult("Warmup()", callByFfi(cell, cell.warmup, "Warmup"), 1);
}

const LOADS = {
  ffi(cell) {
    return ["Run()", callByFfi(cell, cell.library, "Run")];
  },
  "napi-sync"(cell) {
    const addon = require(cell.addon);
    say({ at: "loaded" });
    return ["runSync()", addon.runSync()];
  },
  async "napi-async"(cell) {
    const addon = require(cell.addon);
    say({ at: "loaded" });
    return ["runAsync()", await addon.runAsync()];
  },
};

async function loadModule(cell) {
  const [what, result] = await LOADS[cell.load](cell);
  expectResult(what, result, 0);
}

module.exports = { loadModule, warmUp };
