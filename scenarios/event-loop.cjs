// Lets the event loop turn for a while, as a server does most of its life. Deadlines count the time in
// which this process and the named ones could run.
"use strict";
const { AbleTime } = require("./able-time.cjs");

const LOOK_MS = 20;
const COUNTED_MS = 50; // A shorter wait is a step between two calls, and gives a hang no time to come.
const ENOUGH = 0.8; // No thread runs the whole time, even on a quiet machine.

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Lets the loop turn for `ms` milliseconds in which this process could run. A hang needs processor
// time to appear. With wall-clock time, the cell of a starved process would pass.
async function turn(ms) {
  if (ms < COUNTED_MS) return pause(ms);
  const able = new AbleTime();
  await pause(ms);
  while (able.ms < ms * ENOUGH) await pause(LOOK_MS);
}

// Lets the loop turn until `promise` settles. After `ms`, it rejects with `why`. `pids` are the
// processes that the promise depends on.
async function within(ms, promise, why, pids = []) {
  let watch;
  const able = new AbleTime(...pids);
  const late = new Promise((_, reject) => {
    watch = setInterval(() => able.ms < ms || reject(new Error(why)), LOOK_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearInterval(watch);
  }
}

// Lets the loop turn until `condition()` is true. After `ms`, it rejects with `why`, a text or a
// function that returns one.
async function until(condition, ms, why, pids = []) {
  const able = new AbleTime(...pids);
  while (!condition()) {
    if (able.ms >= ms) throw new Error(typeof why === "function" ? why() : why);
    await pause(5);
  }
}

module.exports = { turn, until, within };
