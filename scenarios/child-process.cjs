// Child processes: the same runtime, treated and loaded the same, doing a part of a stress.
"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { AbleTime } = require("./able-time.cjs");
const { until } = require("./event-loop.cjs");
const { Hang, frameReader } = require("./protocol.cjs");

const CELL = path.join(__dirname, "cell.cjs");
const SILENT_MS = 5000;
const LOOK_MS = 20;
const DRAIN_MS = 1000;
const KEPT_OUTPUT = 64_000;
const ENDINGS = ["done", "fail", "hang", "skip"];

// The words by which this runtime was started, before the script.
function runtimeWords() {
  if (globalThis.Deno) {
    return ["run", "--quiet", "--no-lock", "--allow-all", "--v8-flags=--expose-gc"];
  }
  return process.versions.bun ? [] : process.execArgv;
}

// A channel as the harness makes one, but a file: a FIFO would need a reader that never blocks.
function makeChannel() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "child-"));
  const key = Math.random().toString(16).slice(2); // against text that looks like a frame
  fs.writeFileSync(path.join(folder, "key"), key);
  fs.writeFileSync(path.join(folder, "events"), "");
  const fd = fs.openSync(path.join(folder, "events"), "r");
  const add = frameReader(key);
  const chunk = Buffer.alloc(1 << 16);
  let at = 0;
  return {
    folder,
    read() {
      const events = [];
      for (let length; (length = fs.readSync(fd, chunk, 0, chunk.length, at)) > 0; at += length) {
        events.push(...add(chunk.toString("utf8", 0, length)));
      }
      return events;
    },
    close() {
      fs.closeSync(fd);
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

// Runs `cell` in a process of its own, and returns how it ended: { code, signal, output, events,
// endedAt }, with moments in milliseconds in which it was able to run. Refuses with Hang once one of
// its event loops no longer turns.
function runChild(cell, flags = []) {
  const channel = makeChannel();
  const argument = JSON.stringify({ ...cell, channel: channel.folder });
  const words = [...runtimeWords(), ...flags, CELL, argument];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  const seen = { output: "", events: [] };
  const able = new AbleTime(child.pid);
  const turnedAt = new Map([["", 0]]); // of each event loop
  let isOver = false;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (seen.output = (seen.output + data).slice(0, KEPT_OUTPUT)));
  }
  function note({ at, in: source = "" }, when) {
    if (at === "ends") turnedAt.delete(source);
    // A process that is done has to end, even if its event loop still turns.
    else if (!isOver && (at === "turns" || turnedAt.has(source))) turnedAt.set(source, when);
    isOver = isOver || ENDINGS.includes(at);
  }
  function look() {
    const when = able.ms;
    for (const event of channel.read()) {
      note(event, when);
      if (event.at !== "beat") seen.events.push({ ...event, when });
    }
    return when - Math.min(...turnedAt.values());
  }
  return new Promise((resolve, reject) => {
    let finished = false;
    const watch = setInterval(() => {
      // Bun 1.0 calls it once more after clearInterval().
      if (finished || look() < SILENT_MS) return;
      const step = seen.events.length ? seen.events[seen.events.length - 1].at : "nothing";
      const what = cell.part ? `${cell.stress} ${cell.part}` : cell.stress;
      const silent = `was silent for ${SILENT_MS / 1000} s after '${step}'`;
      finish(() => reject(new Hang(`a child process (${what}) ${silent}`)));
      child.kill("SIGKILL"); // Old releases of Bun tell its end from in here.
    }, LOOK_MS);
    function finish(settle) {
      if (finished) return;
      finished = true;
      clearInterval(watch);
      look();
      channel.close();
      settle();
    }
    child.on("error", (error) => finish(() => reject(error)));
    child.on("exit", (code, signal) => {
      seen.endedAt = able.ms;
      const tell = () => finish(() => resolve({ ...seen, code, signal }));
      // What it left behind may hold its output open for as long as it likes.
      until(() => finished, DRAIN_MS, "its output is open").catch(tell);
    });
    child.on("close", (code, signal) => finish(() => resolve({ ...seen, code, signal })));
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
