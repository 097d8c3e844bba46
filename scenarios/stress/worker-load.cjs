// Loads the module in a worker first, then in the main thread. Both continue to allocate.
"use strict";
const { collect, garbage } = require("../gc.cjs");
const { expectResult, loadModule } = require("../loaders.cjs");
const { turning } = require("../protocol.cjs");
const { isRaised, raise, sharedFlag, startThread } = require("../workers.cjs");
const { turn } = require("../event-loop.cjs");

async function loadFirst({ cell, done }, ready) {
  const stop = turning("thread");
  try {
    const module = await loadModule(cell);
    ready();
    while (!isRaised(done)) {
      garbage();
      collect();
      expectResult("Run() in the worker", module.call("Run"), 0);
      await turn(25);
    }
  } finally {
    stop();
  }
}

module.exports = async function workerLoad(cell, module, { thread, done }) {
  for (let round = 0; round < 8; round++) {
    garbage();
    collect();
    expectResult("Run() in the main thread", module.call("Run"), 0);
    await turn(25);
  }
  raise(done);
  await thread.result;
  await turn(50);
};
module.exports.before = async function before(cell) {
  const done = sharedFlag();
  const thread = startThread(__filename, "loadFirst", { cell, done });
  await thread.ready;
  return { thread, done };
};
module.exports.tasks = { loadFirst };
