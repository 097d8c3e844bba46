// The steps of a cell: before the load, the load, the stress. They run in the main thread, or in a
// worker if the load is `worker`.
"use strict";
const fs = require("node:fs");
const { callPackage, installGuard, loadModule, warmUp } = require("./loaders.cjs");
const { report, turning } = require("./protocol.cjs");
const { isRaised, raise, sharedFlag, startThread } = require("./workers.cjs");
const { turn } = require("./event-loop.cjs");

// A stress is an async function of (cell, module, result of its `before`). It may have:
//   before(cell)      runs before the module is loaded
//   inMain            true: it runs in the main thread, even after a load in a worker
//   afterwards(cell)  runs last, in the main thread
//   tasks             functions that it runs in threads of its own
const stressOf = (cell) => require(`./stress/${cell.stress}.cjs`);

async function before(cell) {
  const { before } = stressOf(cell);
  return before && before(cell);
}

// Installs the guard, if the treatment does so at this moment.
function treatBy(cell, when) {
  if (cell.guarded !== when) return;
  installGuard(cell);
  report({ at: "treated" });
}

async function load(cell) {
  const module = await loadModule(cell);
  report({ at: "called" });
  treatBy(cell, "after");
  return module;
}

async function perform(cell) {
  const noted = await before(cell);
  const module = await load(cell);
  await stressOf(cell)(cell, module, noted);
  report({ at: "stressed" });
  await witnessed(cell);
}

// Waits until the harness has checked from outside whether the module is mapped, if it wants to. It
// then creates a file, mostly long before this moment. A harness that was stopped comes late. If the
// harness was killed, this process ends too.
async function witnessed(cell) {
  while (cell.witness && !fs.existsSync(cell.witness)) await turn(5);
}

async function performInMain(cell) {
  const noted = await before(cell);
  const done = sharedFlag();
  const thread = startThread(__filename, "hold", { cell, done });
  await thread.ready;
  await stressOf(cell)(cell, undefined, noted);
  report({ at: "stressed" });
  await witnessed(cell);
  raise(done);
  await thread.result;
}

const tasks = {
  async perform({ cell }) {
    const stop = turning("worker");
    try {
      await perform(cell);
    } finally {
      stop();
    }
  },
  // Keeps the module loaded for as long as the main thread needs it.
  async hold({ cell, done }, ready) {
    const stop = turning("worker");
    try {
      await load(cell);
      ready();
      while (!isRaised(done)) await turn(25);
    } finally {
      stop();
    }
  },
};

async function runCell(cell) {
  if (cell.warmup) {
    warmUp(cell);
    report({ at: "treated" });
  }
  if (cell.package) {
    callPackage(cell);
    report({ at: "treated" });
  }
  treatBy(cell, "before");
  if (cell.load !== "worker") await perform(cell);
  else if (stressOf(cell).inMain) await performInMain(cell);
  else await startThread(__filename, "perform", { cell }).result;
  const { afterwards } = stressOf(cell);
  if (afterwards) afterwards(cell);
}

module.exports = { runCell, tasks };
