// Many threads of the module are blocked in C, while the runtime collects and the pool works.
"use strict";
const { collect, garbage } = require("../gc.cjs");
const { expectResult } = require("../loaders.cjs");
const { turn } = require("../event-loop.cjs");

const BLOCKED = 64;

module.exports = async function threads(cell, module) {
  expectResult("BlockThreads()", module.call("BlockThreads", BLOCKED, 150), BLOCKED);
  await turn(50);
  if (module.addon) {
    const blocked = module.later("BlockThreads", BLOCKED, 200);
    const works = Array.from({ length: 200 }, () => module.later("Run"));
    const few = Array.from({ length: 8 }, () => module.later("BlockThreads", 4, 20));
    garbage();
    collect();
    const inPool = "BlockThreads() in the pool";
    for (const result of await Promise.all(works)) expectResult("Run() in the pool", result, 0);
    for (const result of await Promise.all(few)) expectResult(inPool, result, 4);
    expectResult(inPool, await blocked, BLOCKED);
  }
  garbage();
  collect();
  await turn(50);
};
