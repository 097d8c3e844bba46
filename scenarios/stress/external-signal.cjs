// Another process sends the signal with which JavaScriptCore suspends threads.
"use strict";
const { spawnSync } = require("node:child_process");
const { suspendSignal } = require("../signal-handlers.cjs");
const { Skip } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const TIMES = 5;

module.exports = async function externalSignal(cell, module, number) {
  for (let i = 0; i < TIMES; i++) {
    const sent = spawnSync("/bin/sh", ["-c", `kill -${number} ${process.pid}`]);
    if (sent.status !== 0) throw new Error(`kill: ${sent.stderr}`);
    await turn(50);
  }
};
module.exports.inMain = true;
module.exports.before = async function before(cell) {
  if (!process.versions.bun) throw new Skip("this runtime suspends no threads by a signal");
  const number = suspendSignal(cell);
  if (number === undefined) throw new Skip("this runtime catches no signal to suspend threads by");
  return number;
};
