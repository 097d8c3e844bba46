// A sampling profiler, which stops the thread it looks at a thousand times a second.
"use strict";
const { Skip } = require("../saying.cjs");
const { turn } = require("../turning.cjs");

const BUSY_MS = 150;
const SAMPLES = 20;
const ROUNDS = 12;

function work() {
  const until = performance.now() + BUSY_MS;
  let text = "";
  for (let i = 0; performance.now() < until; i++) {
    text = JSON.stringify({ i, text: text.slice(-20) });
  }
  return text;
}

// Twice, and until the profiler has looked often enough: on a loaded machine its thread comes late.
async function profileByJsc() {
  const { profile } = require("bun:jsc");
  if (typeof profile !== "function") return false;
  let samples = 0;
  for (let round = 0; round < 2 || (samples < SAMPLES && round < ROUNDS); round++) {
    const found = profile(work, 500);
    if (!found) throw new Error("profile() gave no profile");
    samples += Number(/Total samples: (\d+)/.exec(found.functions)?.[1] ?? SAMPLES);
    await turn(50);
  }
  // In some runs a profiler never looks at all: then nothing was asked.
  if (samples === 0) throw new Skip(`the profiler took no sample in ${ROUNDS} rounds`);
  return true;
}

async function profileByInspector() {
  let session;
  const post = (method) =>
    new Promise((resolve, reject) => {
      session.post(method, (error, result) => (error ? reject(error) : resolve(result)));
    });
  try {
    const { Session } = require("node:inspector");
    session = new Session();
    session.connect();
    await post("Profiler.enable");
  } catch {
    return false;
  }
  await post("Profiler.start");
  work();
  const { profile } = await post("Profiler.stop");
  session.disconnect();
  if (!profile || profile.nodes.length === 0) throw new Error("the inspector gave no profile");
  return true;
}

module.exports = async function profile() {
  let profiled = false;
  if (process.versions.bun) profiled = await profileByJsc();
  profiled = (await profileByInspector()) || profiled;
  if (!profiled) throw new Skip("this runtime has no profiler that a script can start");
  await turn(100);
};
