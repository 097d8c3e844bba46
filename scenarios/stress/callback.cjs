// The module calls JavaScript from its own threads, through a thread-safe function.
"use strict";
const { collect, garbage } = require("../gc.cjs");
const { expectResult } = require("../loaders.cjs");
const { turn, until } = require("../event-loop.cjs");

const CALLS = 2000;
const LATE_MS = 3000;

module.exports = async function callback(cell, module) {
  const callBack = module.napi("callBack");
  for (let round = 0; round < 2; round++) {
    let called = 0;
    const made = await callBack(() => {
      called++;
      if (called % 500 === 0) {
        garbage(1000);
        collect();
      }
    }, CALLS);
    expectResult("callBack()", made, CALLS);
    const count = () => `of ${CALLS} calls into JavaScript, ${called} arrived`;
    await until(() => called >= CALLS, LATE_MS, count);
    if (called !== CALLS) throw new Error(count());
    await turn(50);
  }
};
