// Child processes: the same runtime, treated and loaded the same, doing a part of a stress.
"use strict";
const { spawn } = require("node:child_process");
const path = require("node:path");
const { Hang, MARK } = require("./protocol.cjs");

const CELL = path.join(__dirname, "cell.cjs");
const SILENT_MS = 5000;

// The words by which this runtime was started, before the script.
function runtimeWords() {
  if (globalThis.Deno) {
    return ["run", "--quiet", "--no-lock", "--allow-all", "--v8-flags=--expose-gc"];
  }
  return process.versions.bun ? [] : process.execArgv;
}

// Runs `cell` in a process of its own, and returns how it ended: { code, signal, output, events,
// saidAt, endedAt }. Refuses with Hang once its event loop no longer turns.
function runChild(cell, flags = []) {
  const words = [...runtimeWords(), ...flags, CELL, JSON.stringify(cell)];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  const seen = { output: "", events: [], saidAt: performance.now() };
  let rest = "";
  child.stderr.on("data", (data) => (seen.output += data));
  child.stdout.on("data", (data) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith(MARK)) {
        seen.output += `${line}\n`;
        continue;
      }
      const event = JSON.parse(line.slice(MARK.length));
      seen.saidAt = performance.now();
      if (event.at !== "beat") seen.events.push({ ...event, when: seen.saidAt });
    }
  });
  return new Promise((resolve, reject) => {
    const watch = setInterval(() => {
      if (performance.now() - seen.saidAt < SILENT_MS) return;
      clearInterval(watch);
      const step = seen.events.length ? seen.events[seen.events.length - 1].at : "nothing";
      const what = cell.part ? `${cell.stress} ${cell.part}` : cell.stress;
      const silent = `was silent for ${SILENT_MS / 1000} s after '${step}'`;
      reject(new Hang(`a child process (${what}) ${silent}`));
      child.kill("SIGKILL"); // Old releases of Bun tell its end from in here.
    }, 100);
    child.on("error", (error) => {
      clearInterval(watch);
      reject(error);
    });
    child.on("exit", () => (seen.endedAt = performance.now()));
    child.on("close", (code, signal) => {
      clearInterval(watch);
      resolve({ ...seen, code, signal });
    });
  });
}

// The event at which a child said something, or undefined.
const told = (ended, at) => ended.events.find((event) => event.at === at);

// How a child ended, for people.
function described(ended) {
  const how = ended.signal ? `signal ${ended.signal}` : `exit code ${ended.code}`;
  const bad = told(ended, "fail") || told(ended, "hang") || told(ended, "skip");
  const said = bad ? bad.why : ended.output.trim();
  return said ? `${how}: ${said.split("\n").slice(0, 3).join(" / ")}` : how;
}

module.exports = { described, runChild, runtimeWords, told };
