// Starts worker threads on tasks of a script, and reports their progress.
"use strict";
const path = require("node:path");
const { Hang, Skip, channelForThread } = require("./protocol.cjs");

// Runs `tasks[task](data, ready)` of `script` in a new thread. Returns three promises: `ready` for the
// call of ready(), `result` for the task's result, and `gone` for the thread's end.
function startThread(script, task, data) {
  let Worker;
  try {
    ({ Worker } = require("node:worker_threads"));
  } catch (error) {
    throw new Skip(`this runtime has no worker threads: ${error.message}`);
  }
  const workerData = { script, task, data, channel: channelForThread() };
  const worker = new Worker(path.join(__dirname, "worker-entry.cjs"), { workerData });
  const gone = new Promise((resolve) => worker.on("exit", resolve));
  let tellReady;
  const saidReady = new Promise((resolve) => (tellReady = resolve));
  const result = new Promise((resolve, reject) => {
    worker.on("message", (said) => {
      if (said.ready) tellReady();
      else if (said.skip) reject(new Skip(said.skip));
      else if (said.hang) reject(new Hang(said.hang));
      else if (said.failure) reject(new Error(`in a worker: ${said.failure}`));
      else resolve(said.value);
    });
    worker.on("error", (error) => {
      reject(new Error(`the worker failed: ${error && error.message}`));
    });
    gone.then(() => reject(new Error("the worker ended before its task did")));
  });
  const ready = Promise.race([saidReady, result]);
  for (const promise of [result, ready]) promise.catch(() => {}); // Whoever awaits it hears of it.
  return { worker, gone, result, ready };
}

// A flag that one thread sets and others see.
function sharedFlag() {
  return new Int32Array(new SharedArrayBuffer(4));
}

const raise = (flag) => Atomics.store(flag, 0, 1);
const isRaised = (flag) => Atomics.load(flag, 0) === 1;

module.exports = { isRaised, raise, sharedFlag, startThread };
