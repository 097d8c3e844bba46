// The whole run is under JavaScriptCore's sampling profiler, which the cell's environment switches on
// (default.toml). It stops the main thread a thousand times a second from the start.
"use strict";
const { garbage } = require("../gc.cjs");
const { Skip } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const ROUNDS = 10;

module.exports = async function profiled() {
  if (!process.versions.bun)
    throw new Skip("this runtime has no profiler that a variable switches on");
  for (let round = 0; round < ROUNDS; round++) {
    garbage();
    await turn(50);
  }
};
