// Signals still arrive at an application's listeners, whether added before or after the load of the
// module. A write that nobody reads fails, and does not end the process.
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { changes, dispositions } = require("../signal-handlers.cjs");
const { expectResult, probe } = require("../loaders.cjs");
const { report } = require("../protocol.cjs");
const { turn, until } = require("../event-loop.cjs");

const { EPIPE } = os.constants.errno;
const LATE_MS = 3000;
const BEFORE = ["SIGINT", "SIGTERM"];
const AFTER = ["SIGUSR2", "SIGPIPE"];

function listen(names) {
  const counts = {};
  for (const name of names) {
    counts[name] = 0;
    process.on(name, () => counts[name]++);
  }
  return counts;
}

async function expectDelivered(counts, name) {
  const wanted = counts[name] + 1;
  process.kill(process.pid, name);
  const late = `${name} was not delivered to process.on()`;
  await until(() => counts[name] >= wanted, LATE_MS, late);
}

function expectBrokenPipe() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pipe-"));
  const pipe = path.join(folder, "pipe");
  try {
    spawnSync("mkfifo", [pipe]);
    const reader = fs.openSync(pipe, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    const writer = fs.openSync(pipe, "w");
    fs.closeSync(reader);
    let code = "no error";
    try {
      fs.writeSync(writer, "for nobody");
    } catch (error) {
      code = error.code;
    }
    fs.closeSync(writer);
    if (code !== "EPIPE") {
      throw new Error(`a write to a pipe that nobody reads gave ${code}, not EPIPE`);
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

module.exports = async function signals(cell, module, { counts, found }) {
  report({ at: "dispositions", why: changes(found, dispositions(cell)) || "unchanged" });
  expectBrokenPipe();
  expectResult("a write to a closed socket", probe(cell, "WriteToClosedSocket"), EPIPE);
  for (const name of BEFORE) await expectDelivered(counts, name);
  const later = listen(AFTER);
  for (const name of AFTER) await expectDelivered(later, name);
  await turn(50);
};
module.exports.inMain = true;
module.exports.before = async function before(cell) {
  const counts = listen(BEFORE);
  return { counts, found: dispositions(cell) };
};
