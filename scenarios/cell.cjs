// Runs one cell: treats the runtime, loads the module, calls it, then stresses it, and says on
// standard output how far it got. Started as: RUNTIME cell.cjs '{"load":…,"stress":…}'.
"use strict";
const { runCell } = require("./run-cell.cjs");
const { fail, say, turning } = require("./protocol.cjs");

async function main() {
  const cell = JSON.parse(process.argv[2]);
  say({ at: "start" });
  const stop = turning();
  try {
    await runCell(cell);
  } finally {
    stop();
  }
}

main().then(() => say({ at: "done" }), fail);
