// What a cell says to the harness: one JSON object a line, marked, written at once.
"use strict";
const fs = require("node:fs");

const MARK = "@gobun ";
const BEAT_MS = 25;

// Thrown where a runtime lacks what a cell needs.
class Skip extends Error {}

// Thrown where a process that the cell started makes no progress.
class Hang extends Error {}

function say(event) {
  fs.writeSync(1, `${MARK}${JSON.stringify(event)}\n`);
}

// Says why a cell ends early: a runtime lacks something, something hangs, or it failed.
function fail(error) {
  if (error instanceof Skip) {
    say({ at: "skip", why: error.message });
    return;
  }
  const hangs = error instanceof Hang;
  say(hangs ? { at: "hang", why: error.message } : { at: "fail", why: reasonOf(error) });
  process.exitCode = 1;
}

const reasonOf = (error) => String((error && error.stack) || error);

// Says that this thread's event loop turns, until the function it returns is called: the harness
// takes a loop that no longer turns for a hang. The main thread's has no name.
function turning(source) {
  const named = source ? { in: source } : {};
  if (source) say({ at: "turns", ...named });
  const beats = setInterval(() => say({ at: "beat", ...named }), BEAT_MS);
  return () => {
    clearInterval(beats);
    if (source) say({ at: "ends", ...named });
  };
}

module.exports = { Hang, MARK, Skip, fail, reasonOf, say, turning };
