// Garbage collections, on demand and by allocation, with the loop turning in between.
"use strict";
const { Skip } = require("../saying.cjs");
const { turn } = require("../turning.cjs");

function collector() {
  if (globalThis.Bun) return [() => Bun.gc(true), () => Bun.gc(false)];
  if (globalThis.gc) return [() => globalThis.gc()];
  throw new Skip("this runtime offers no way to ask for a collection");
}

module.exports = async function gc() {
  const collections = collector();
  for (let round = 0; round < 8; round++) {
    const garbage = Array.from({ length: 20_000 }, (_, i) => ({ i, text: `item ${i}` }));
    for (const collect of collections) collect();
    if (garbage.length !== 20_000) throw new Error("a live object was collected");
    await turn(25);
  }
};
