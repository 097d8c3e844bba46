// A process with the module loaded ends as it should: by itself, with process.exit(5), and with an
// uncaught error. Each end has its exit code, and comes within a second.
"use strict";
const { described, runChild, told } = require("../child-process.cjs");
const { report } = require("../protocol.cjs");

const CODE = 5;
const SOON_MS = 1000;
const LEAVE = {
  itself() {},
  exit() {
    process.exit(CODE);
  },
  error() {
    setTimeout(() => {
      throw new Error("nobody catches this");
    }, 0);
  },
};
const WANTED = { itself: 0, exit: CODE, error: 1 };

module.exports = async function exit(cell) {
  if (cell.part) return;
  for (const part of Object.keys(LEAVE)) {
    const ended = await runChild({ ...cell, part });
    const leaving = told(ended, "leaving");
    if (!leaving || ended.code !== WANTED[part]) {
      throw new Error(`end by ${part}: ${described(ended)}, not exit code ${WANTED[part]}`);
    }
    const took = Math.round(ended.endedAt - leaving.when);
    if (took > SOON_MS) throw new Error(`end by ${part} took ${took} ms`);
  }
};
module.exports.afterwards = function afterwards(cell) {
  if (!cell.part) return;
  report({ at: "leaving" });
  LEAVE[cell.part]();
};
