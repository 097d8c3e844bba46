// Terminates a worker that has loaded the module: while it spins in JavaScript, and during a call of
// the module.
"use strict";
const { loadModule } = require("../loaders.cjs");
const { report } = require("../protocol.cjs");
const { startThread } = require("../workers.cjs");
const { turn, within } = require("../event-loop.cjs");

const FINISHED = 1;
const LASTS_MS = 300; // what a worker does, if nothing stops it
const MARGIN_MS = 150;
const GONE_MS = 5000;

const tasks = {
  async spin({ cell, state }, ready) {
    await loadModule(cell);
    ready();
    await turn(10); // In Bun the word is sent by the event loop.
    const until = performance.now() + LASTS_MS;
    for (let i = 0; performance.now() < until; i++) JSON.stringify({ i });
    Atomics.store(state, 0, FINISHED);
  },
  async stayInside({ cell, state }, ready) {
    const module = await loadModule(cell);
    ready();
    await turn(10);
    module.call("Busy", LASTS_MS);
    await turn(10);
    Atomics.store(state, 0, FINISHED);
  },
};

// Returns whether terminate() stopped a worker before its task was finished. Older releases of Bun
// cannot stop one that spins, even without a module. Deno reports the end of a worker that still runs.
async function isStopped(task, cell) {
  const state = new Int32Array(new SharedArrayBuffer(4));
  const thread = startThread(__filename, task, { cell, state });
  await thread.ready;
  await turn(30);
  const ended = Promise.race([thread.worker.terminate(), thread.gone]);
  const late = `the worker (${task}) was still there ${GONE_MS} ms after terminate()`;
  await within(GONE_MS, ended, late);
  await turn(LASTS_MS + MARGIN_MS);
  return Atomics.load(state, 0) !== FINISHED;
}

module.exports = async function terminate(cell, module) {
  module.call("Busy", 1); // Skips here where the module has no such function.
  const stopped = Object.keys(tasks).map((task) => isStopped(task, cell));
  const [spins, stays] = await Promise.all(stopped);
  if (!stays) throw new Error("a worker went on after terminate() during a call of the module");
  if (!spins) {
    report({ at: "unfit", why: "terminate() does not stop a worker that spins before it is done" });
  }
  await turn(50);
  if (module.call("Run") !== 0) throw new Error("Run() failed after a worker had ended");
  await turn(100);
};
module.exports.tasks = tasks;
