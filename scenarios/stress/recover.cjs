// Causes faults: a nil dereference that Go recovers, a stack overflow that Go reports, and a crash in
// C. The runtime's own crash handler must end that process, as it does without the module.
"use strict";
const { described, runChild, told } = require("../child-process.cjs");
const { expectResult, probe } = require("../loaders.cjs");
const { report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const NOT_HERE = -1; // what Overflow() returns where there is none

// Returns the first line of a crash handler's report, without addresses, which differ.
function reportOf(ended) {
  const line = /^.*(?:panic|Segmentation fault|SIGSEGV).*$/im.exec(ended.output);
  return line ? line[0].replace(/0x[0-9a-f]+/gi, "0x…").trim() : "no report";
}

async function expectOverflowReported(cell) {
  const ended = await runChild({ ...cell, part: "overflow" });
  const returned = told(ended, "returned");
  if (returned && returned.why === String(NOT_HERE)) return;
  // Go in a library ends its process with SIGABRT, not with exit code 2.
  if (ended.code === 0 || !/^fatal error: stack overflow/m.test(ended.output)) {
    throw new Error(`a stack overflow in Go was not reported by Go: ${described(ended)}`);
  }
}

async function expectCrashReported(cell) {
  const [without, loaded] = await Promise.all([
    runChild({ ...cell, part: "crash-first" }),
    runChild({ ...cell, part: "crash" }),
  ]);
  const facts = ({ code, signal }) => `code ${code}, signal ${signal}`;
  const [wanted, found] = [without, loaded].map((ended) => `${facts(ended)}, ${reportOf(ended)}`);
  if (found !== wanted) {
    throw new Error(`a crash after loading ends the process with ${found}; before, with ${wanted}`);
  }
  if (without.code === 0) throw new Error("a crash did not end the process");
}

module.exports = async function recover(cell, module) {
  if (cell.part === "overflow") {
    report({ at: "returned", why: String(module.call("Overflow")) });
    return;
  }
  if (cell.part) {
    probe(cell, "Crash");
    return;
  }
  for (let i = 0; i < 100; i++) expectResult("Recover()", module.call("Recover"), 0);
  await turn(50);
  await expectOverflowReported(cell);
  await expectCrashReported(cell);
  expectResult("Recover()", module.call("Recover"), 0);
  await turn(50);
};
module.exports.before = async function before(cell) {
  if (cell.part === "crash-first") probe(cell, "Crash");
};
