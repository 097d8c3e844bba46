// Starts child processes, synchronously and not. SIGCHLD or the like reports their ends.
"use strict";
const { execFile, spawn, spawnSync } = require("node:child_process");
const { turn, within } = require("../event-loop.cjs");

const SHELL = "/bin/sh";
const LATE_MS = 5000;

function endOf(child) {
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (code, signal) => resolve(signal || code));
  });
}

function soon(end, ...children) {
  const pids = children.map((child) => child.pid);
  return within(LATE_MS, end, "the end of a child was not told", pids);
}

function expect(what, found, wanted) {
  if (found !== wanted) {
    throw new Error(`${what}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`);
  }
}

module.exports = async function spawnChildren() {
  for (let i = 0; i < 3; i++) {
    const done = spawnSync(SHELL, ["-c", `echo out; echo err >&2; exit ${i}`]);
    expect("exit code of spawnSync", done.status, i);
    expect("output of spawnSync", `${done.stdout}${done.stderr}`, "out\nerr\n");
  }
  const start = (_, i) => spawn(SHELL, ["-c", `exit ${i}`], { stdio: "ignore" });
  const children = Array.from({ length: 8 }, start);
  const ends = await soon(Promise.all(children.map(endOf)), ...children);
  expect("exit codes of spawn", ends.join(), "0,1,2,3,4,5,6,7");
  const killed = spawn("/bin/sleep", ["60"], { stdio: "ignore" });
  const end = endOf(killed);
  killed.kill("SIGTERM");
  expect("signal of a killed child", await soon(end, killed), "SIGTERM");
  let echo;
  const output = new Promise((resolve, reject) => {
    const tell = (error, out) => (error ? reject(error) : resolve(out));
    echo = execFile(SHELL, ["-c", "echo later"], tell);
  });
  expect("output of execFile", await soon(output, echo), "later\n");
  await turn(100);
};
