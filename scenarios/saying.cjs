// What a cell says to the harness: one JSON object a line, marked, written at once.
"use strict";
const fs = require("node:fs");

const MARK = "@gobun ";

// Thrown where a runtime lacks what a cell needs.
class Skip extends Error {}

function say(event) {
  fs.writeSync(1, `${MARK}${JSON.stringify(event)}\n`);
}

function fail(error) {
  say({ at: "fail", why: String((error && error.stack) || error) });
  process.exitCode = 1;
}

module.exports = { Skip, fail, say };
