// Two different Go runtimes in one process. Here the second is loaded after the module, and in a
// child before it.
"use strict";
const { described, runChild } = require("../child-process.cjs");
const { collect, garbage } = require("../gc.cjs");
const { expectResult, warmUp } = require("../loaders.cjs");
const { Skip, report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

module.exports = async function twoGo(cell, module) {
  if (!cell.second) throw new Skip("no second library with Go was given");
  warmUp(cell, cell.second);
  report({ at: "second" });
  for (let round = 0; round < 4; round++) {
    expectResult("Run() beside another Go", module.call("Run"), 0);
    warmUp(cell, cell.second);
    garbage();
    collect();
    await turn(50);
  }
  const ended = await runChild({ ...cell, warmup: cell.second, stress: "idle" });
  if (ended.code !== 0) throw new Error(`the other Go first: ${described(ended)}`);
};
