// Makes the runtime suspend its threads for ten minutes while Go works: profiles, workers, hot
// WebAssembly, collections, and calls on the main thread and on pool threads. It is not part of the
// default matrix. Give it a limit of more than 600 seconds.
"use strict";
const { expectResult } = require("../loaders.cjs");
const { Skip } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const SOAK_S = 600;
const AT_ONCE = 8;
const BUSY_MS = 5;
const ROUND = ["profile", "wasm", "worker", "gc"];

// Go computes and allocates on pool threads while the main thread runs `stress`.
async function beside(cell, module, stress) {
  const calls = [];
  if (module.addon) {
    for (let i = 0; i < AT_ONCE; i++) calls.push(module.later("Busy", BUSY_MS));
  }
  try {
    await require(`./${stress}.cjs`)(cell, module);
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
  }
  for (const result of await Promise.all(calls)) expectResult("Busy()", result, 0);
}

module.exports = async function soak(cell, module) {
  const until = performance.now() + (cell.seconds ?? SOAK_S) * 1000;
  while (performance.now() < until) {
    for (const stress of ROUND) {
      await beside(cell, module, stress);
      for (let i = 0; i < 100; i++) expectResult("Run()", module.call("Run"), 0);
      expectResult("Recover()", module.call("Recover"), 0);
      await turn(10);
    }
  }
};
