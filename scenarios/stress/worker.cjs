// A worker allocates and collects garbage while the main thread has the module loaded.
"use strict";
const { collect, garbage } = require("../gc.cjs");
const { turning } = require("../protocol.cjs");
const { startThread } = require("../workers.cjs");
const { turn } = require("../event-loop.cjs");

async function allocate() {
  const stop = turning("thread");
  for (let round = 0; round < 12; round++) {
    if (garbage().length !== 20_000) throw new Error("a live object was collected");
    collect();
    await turn(20);
  }
  stop();
}

module.exports = async function worker() {
  const thread = startThread(__filename, "allocate");
  for (let round = 0; round < 4; round++) {
    garbage();
    await turn(50);
  }
  await thread.result;
  await turn(50);
};
module.exports.tasks = { allocate };
