// 10^5 operations, after which the process is as small as after 10^4: nothing is kept.
"use strict";
const { CONFIG, asherahOf } = require("../asherah/surface.cjs");
const { collect } = require("../gc.cjs");
const { report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const OPERATIONS = 100_000;
const PARTITIONS = 50;
const GROWTH_MB = 32; // what allocators keep; a leak of 1 KB an operation would be 100

async function operate(asherah, operations) {
  const data = Buffer.alloc(1024, 7);
  for (let i = 0; i < operations / 2; i++) {
    const partition = `partition ${i % PARTITIONS}`;
    const found = asherah.decrypt(partition, asherah.encrypt(partition, data));
    if (found.length !== data.length) throw new Error(`${found.length} bytes came back`);
    if (i % 250 === 0) await turn(0);
  }
}

async function megabytes() {
  for (let i = 0; i < 3; i++) {
    collect();
    await turn(50);
  }
  return process.memoryUsage().rss / 2 ** 20;
}

module.exports = async function memory(cell, module) {
  const asherah = asherahOf(cell, module);
  const operations = cell.operations ?? OPERATIONS;
  asherah.setup({ ...CONFIG, EnableSessionCaching: true });
  await operate(asherah, operations / 10);
  const before = await megabytes();
  await operate(asherah, operations);
  const grown = (await megabytes()) - before;
  report({ at: "grown", why: `${before.toFixed(1)} MB, then ${grown.toFixed(1)} MB more` });
  if (grown > GROWTH_MB) throw new Error(`it grew by ${grown.toFixed(1)} MB`);
  asherah.shutdown();
};
