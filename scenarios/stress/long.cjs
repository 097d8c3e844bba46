// Does for a minute what a server does: it allocates, collects, calls the module, starts children and
// idles. It is not part of the default matrix.
"use strict";
const { spawnSync } = require("node:child_process");
const { collect, garbage } = require("../gc.cjs");
const { expectResult } = require("../loaders.cjs");
const { turn } = require("../event-loop.cjs");

const SOAK_S = 60;

module.exports = async function long(cell, module) {
  const until = performance.now() + (cell.seconds ?? SOAK_S) * 1000;
  for (let round = 0; performance.now() < until; round++) {
    garbage();
    expectResult("Run()", module.call("Run"), 0);
    if (module.addon) expectResult("runAsync()", await module.addon.runAsync(), 0);
    if (round % 4 === 0) collect();
    if (round % 16 === 0) {
      expectResult("exit code", spawnSync("/bin/sh", ["-c", "exit 3"]).status, 3);
    }
    await turn(round % 8 === 0 ? 250 : 25);
  }
};
