// Lets the event loop turn for a while, which is what a server does most of its life. Deadlines go by
// the time in which this process, and those that are named, were able to run.
"use strict";
const { AbleTime } = require("./able-time.cjs");

const LOOK_MS = 20;

function turn(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Lets the loop turn until this process was able to run for `ms`.
async function turnAble(ms) {
  const able = new AbleTime();
  while (able.ms < ms) await turn(LOOK_MS);
}

// Lets the loop turn until `promise` settles; after `ms` it is refused with `why`. `pids` are the
// processes that it depends on.
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

// Lets the loop turn until `condition()` is true; after `ms` it is refused with `why`, a text or a
// function that returns one.
async function until(condition, ms, why, pids = []) {
  const able = new AbleTime(...pids);
  while (!condition()) {
    if (able.ms >= ms) throw new Error(typeof why === "function" ? why() : why);
    await turn(5);
  }
}

module.exports = { turn, turnAble, until, within };
