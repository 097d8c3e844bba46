// The ways to load a native module, and the calls that start its Go runtime.
"use strict";
const { Skip, report } = require("./protocol.cjs");

// Opens a library with the runtime's own foreign function interface. Returns a function that calls
// its `int32_t symbol(int32_t…)`.
function openLibrary(cell, library) {
  const known = {};
  function bind(symbol, count) {
    if (cell.dlcall) return (...numbers) => require(cell.dlcall).call(library, symbol, ...numbers);
    if (process.versions.bun) {
      const { dlopen } = require("bun:ffi");
      const args = Array(count).fill("i32");
      return dlopen(library, { [symbol]: { args, returns: "i32" } }).symbols[symbol];
    }
    if (globalThis.Deno) {
      const parameters = Array(count).fill("i32");
      return Deno.dlopen(library, { [symbol]: { parameters, result: "i32" } }).symbols[symbol];
    }
    throw new Skip("this runtime has no foreign function interface");
  }
  return (symbol, ...numbers) => {
    known[symbol] ??= bind(symbol, numbers.length);
    return known[symbol](...numbers);
  };
}

function callLibrary(cell, library, symbol, ...numbers) {
  return openLibrary(cell, library)(symbol, ...numbers);
}

// Calls a library without Go: `Disposition` or `Crash` of native/c_fixture.
function probe(cell, symbol, ...numbers) {
  if (!cell.probe) throw new Skip("no probe library was given");
  return callLibrary(cell, cell.probe, symbol, ...numbers);
}

function expectResult(what, result, wanted) {
  if (result !== wanted) throw new Error(`${what} returned ${result}, not ${wanted}`);
}

// Starts a Go runtime with the smallest library, before anything larger is loaded.
function warmUp(cell, library = cell.warmup) {
  expectResult("Warmup()", callLibrary(cell, library, "Warmup"), 1);
}

// Installs the signal guard. Some runtimes have no handler that it guards. Bun loads it as an addon,
// as the package go-warmup does, because bun:ffi opens no library in some releases for musl.
function installGuard(cell, library = cell.guard) {
  if (process.versions.bun) {
    process.dlopen({ exports: {} }, library);
    return;
  }
  const guarded = callLibrary(cell, library, "GuardInstall");
  if (guarded < 0) throw new Error(`GuardInstall() returned ${guarded}`);
}

// Calls the npm package as an application does. In Node and Deno it does nothing.
function callPackage(cell) {
  const { guard, need } = require(cell.package).warmup();
  if (need === "required" && guard !== "installed") throw new Error(`go-warmup: guard ${guard}`);
}

// A loaded module. Every load is called in the same way. Numbers are 32-bit integers.
class Loaded {
  constructor(call, addon) {
    this.calls = call;
    this.addon = addon;
  }

  // Calls a function of the module on this thread.
  call(symbol, ...numbers) {
    try {
      return this.calls(symbol, ...numbers);
    } catch (error) {
      if (symbol === "Run" || error instanceof Skip) throw error;
      throw new Skip(`this module has no ${symbol}(): ${error.message}`);
    }
  }

  // Calls a function of the module on a thread of the runtime's pool.
  later(symbol, ...numbers) {
    return this.napi("callAsync")(symbol, ...numbers);
  }

  napi(name) {
    if (!this.addon) throw new Skip("this module offers nothing of Node-API to the stress");
    if (typeof this.addon[name] !== "function") throw new Skip(`this addon has no ${name}()`);
    return this.addon[name];
  }
}

// Returns the addon of a cell. An addon without the fixtures' functions is wrapped by a script of
// asherah/.
function openAddon(cell) {
  return cell.glue ? require(`./asherah/${cell.glue}.cjs`).open(cell.addon) : require(cell.addon);
}

function loadAddon(cell) {
  const addon = openAddon(cell);
  report({ at: "loaded" });
  const module = new Loaded((symbol, ...numbers) => {
    return symbol === "Run" ? addon.runSync() : module.napi("callSync")(symbol, ...numbers);
  }, addon);
  return module;
}

const LOADS = {
  ffi(cell) {
    if (cell.glue) throw new Skip("this module is an addon alone, without functions of C");
    if (cell.dlcall && process.versions.bun) {
      throw new Skip("the first call of bun:ffi ends a debug build of this Bun, without Go too");
    }
    const module = new Loaded(openLibrary(cell, cell.library));
    return [module, "Run()", module.call("Run")];
  },
  "napi-sync"(cell) {
    const module = loadAddon(cell);
    return [module, "runSync()", module.addon.runSync()];
  },
  async "napi-async"(cell) {
    const module = loadAddon(cell);
    return [module, "runAsync()", await module.addon.runAsync()];
  },
};
// This is the worker already: run-cell.cjs started it.
LOADS.worker = LOADS["napi-sync"];

// Loads a user's addon with load() of the smoke script, then calls check(). If the cell is about the
// thread pool, callAsync() calls the addon first.
async function loadBySmoke(cell) {
  const smoke = require(cell.smoke);
  const loaded = await smoke.load(cell.addon, { dlopen: dlopenFor(cell) });
  report({ at: "loaded" });
  const offered = smokeCalls(smoke, loaded);
  if (cell.load === "napi-async") await offered.callAsync("Run");
  await smoke.check(loaded);
  return new Loaded(offered.callSync, smoke.callAsync && offered);
}

// The functions that stresses call, made of a smoke script's functions. A rejection of check() ends
// the cell as an uncaught error.
function smokeCalls(smoke, loaded) {
  const needed = (name, symbol) => {
    if (typeof smoke[name] === "function") return smoke[name];
    throw new Skip(`the smoke script has no ${name}(), which stands for ${symbol}() of a module`);
  };
  return {
    callSync(symbol, ms) {
      if (symbol === "Run") smoke.check(loaded);
      else if (symbol === "Busy") needed("busy", symbol).call(smoke, loaded, ms);
      else throw new Skip(`an addon of one's own has no ${symbol}()`);
      return 0;
    },
    async callAsync(symbol, ms = 0) {
      if (symbol !== "Run" && symbol !== "Busy") {
        throw new Skip(`an addon of one's own has no ${symbol}()`);
      }
      await needed("callAsync", symbol).call(smoke, loaded, ms);
      return 0;
    },
    runAsync: () => smokeCalls(smoke, loaded).callAsync("Run"),
  };
}

// Opens a plain library for a smoke script, with bun:ffi, Deno.dlopen or the script's koffi.
// `functions` has the form of bun:ffi: { Name: { args: ["i32"], returns: "i32" } }. Returns an object
// with these functions.
function dlopenFor(cell) {
  return (library, functions) => {
    if (process.versions.bun) return require("bun:ffi").dlopen(library, functions).symbols;
    if (globalThis.Deno) {
      const known = Object.entries(functions).map(([name, { args = [], returns = "void" }]) => {
        return [name, { parameters: args, result: returns }];
      });
      return Deno.dlopen(library, Object.fromEntries(known)).symbols;
    }
    return dlopenByKoffi(cell, library, functions);
  };
}

function dlopenByKoffi(cell, library, functions) {
  let koffi;
  try {
    koffi = require("node:module").createRequire(cell.smoke)("koffi");
  } catch (error) {
    throw new Skip(`koffi is not installed beside the smoke script: ${error.message}`);
  }
  const types = { i32: "int32", u32: "uint32", i64: "int64", u64: "uint64", f64: "double" };
  const typeOf = (type) => types[type] ?? (type === "ptr" ? "void *" : type);
  const opened = koffi.load(library);
  const bind = ([name, { args = [], returns = "void" }]) => {
    return [name, opened.func(name, typeOf(returns), args.map(typeOf))];
  };
  return Object.fromEntries(Object.entries(functions).map(bind));
}

async function loadModule(cell) {
  if (cell.smoke) return loadBySmoke(cell);
  const [module, what, result] = await LOADS[cell.load](cell);
  expectResult(what, result, 0);
  return module;
}

module.exports = {
  callLibrary,
  callPackage,
  expectResult,
  installGuard,
  loadModule,
  openAddon,
  probe,
  warmUp,
};
