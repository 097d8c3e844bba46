// Calls Go below a large C frame, on this thread and on one of the pool, between calls with a short
// stack. Go must find its stack each time.
"use strict";
const { Skip, report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const MEGABYTES = [0, 1, 0, 3, 6, 1];
const DOES_NOT_FIT = -2;

function check(where, size, result) {
  if (result === 0) return true;
  if (result !== DOES_NOT_FIT) {
    throw new Error(`Run() below ${size} MiB on ${where} returned ${result}`);
  }
  report({ at: "unfit", why: `a frame of ${size} MiB does not fit ${where}` });
  return false;
}

module.exports = async function deepStack(cell, module) {
  let deepest = 0;
  for (const size of MEGABYTES) {
    const fits = check("this thread", size, module.call("DeepStack", size << 20));
    if (fits) deepest = Math.max(deepest, size);
    await turn(20);
  }
  if (deepest === 0) throw new Skip("no large frame fits this thread's stack");
  if (module.addon) {
    const later = (size) => module.later("DeepStack", size << 20);
    for (const size of MEGABYTES) check("a pool thread", size, await later(size));
    const several = await Promise.all(MEGABYTES.map(later));
    several.forEach((result, i) => {
      check("a pool thread", MEGABYTES[i], result);
    });
  }
  await turn(100);
};
