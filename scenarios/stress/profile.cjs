// A sampling profiler, which stops this thread a thousand times a second.
"use strict";
const { Skip } = require("../protocol.cjs");
const { AbleTime } = require("../able-time.cjs");
const { turn } = require("../event-loop.cjs");

const SLICE_MS = 20;
const SAMPLES = 20;
const PATIENCE_MS = 5000;

function work() {
  const until = performance.now() + SLICE_MS;
  let text = "";
  for (let i = 0; performance.now() < until; i++) {
    text = JSON.stringify({ i, text: text.slice(-20) });
  }
  return text;
}

// Runs until the profiler has taken enough samples, because its thread starts late on a busy machine.
// The check is inside the profiled function: older releases sample only in the first profile() of a
// process.
async function profileByJsc() {
  const { profile, samplingProfilerStackTraces } = require("bun:jsc");
  if (typeof profile !== "function") return false;
  let samples = 0;
  const able = new AbleTime();
  const workUntilSeen = () => {
    do {
      work();
      const seen = samplingProfilerStackTraces();
      samples += (typeof seen === "string" ? JSON.parse(seen) : seen).traces.length;
    } while (samples < SAMPLES && able.ms < PATIENCE_MS);
  };
  for (const each of [workUntilSeen, work]) {
    if (!profile(each, 500)) throw new Error("profile() gave no profile");
    await turn(50);
  }
  if (samples === 0) throw new Skip(`the profiler took no sample in ${PATIENCE_MS / 1000} s`);
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
  for (let i = 0; i < 5; i++) work();
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
