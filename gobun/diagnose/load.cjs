// Waits for a file, then loads a library by the runtime's foreign function interface, calls its
// Run(), and waits on: `invoke signals` looks at the process before and after.
"use strict";
const fs = require("node:fs");
const given = JSON.parse(process.argv[2]);

function run() {
  if (given.dlcall) return require(given.dlcall).call(given.library, "Run");
  if (process.versions.bun) {
    const { dlopen } = require("bun:ffi");
    return dlopen(given.library, { Run: { args: [], returns: "i32" } }).symbols.Run();
  }
  const { symbols } = Deno.dlopen(given.library, { Run: { parameters: [], result: "i32" } });
  return symbols.Run();
}

fs.writeSync(1, "ready\n");
const waiting = setInterval(() => {
  if (!fs.existsSync(given.go)) return;
  clearInterval(waiting);
  setInterval(() => {}, 1000);
  fs.writeSync(1, `called ${run()}\n`);
}, 20);
