// Makes garbage and collects it, with the means that the runtime has.
"use strict";
const { Skip } = require("./protocol.cjs");

// The collections that a script can start: in JavaScriptCore a full one and a concurrent one.
function collections() {
  if (globalThis.Bun) return [() => Bun.gc(true), () => Bun.gc(false)];
  if (globalThis.gc) return [() => globalThis.gc()];
  throw new Skip("this runtime offers no way to ask for a collection");
}

function collect() {
  for (const ask of collections()) ask();
}

function garbage(count = 20_000) {
  return Array.from({ length: count }, (_, i) => ({ i, text: `item ${i}` }));
}

module.exports = { collect, collections, garbage };
