// The script of a worker thread. workers.cjs starts it.
"use strict";
const { parentPort, workerData } = require("node:worker_threads");
const { Hang, Skip, openThreadChannel, reasonOf } = require("./protocol.cjs");

const { channel } = workerData;
delete workerData.channel; // A secret: it is gone before a module can look for it.
openThreadChannel(channel);

async function main() {
  const ready = () => parentPort.postMessage({ ready: true });
  return require(workerData.script).tasks[workerData.task](workerData.data, ready);
}

main().then(
  (value) => parentPort.postMessage({ value }),
  (error) => {
    // A message to the other thread loses the class of an error.
    const kind = error instanceof Skip ? "skip" : error instanceof Hang ? "hang" : "failure";
    parentPort.postMessage({ [kind]: kind === "failure" ? reasonOf(error) : error.message });
  },
);
