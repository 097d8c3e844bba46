// Runs one cell: applies the treatment, loads the module, calls it, stresses it, and reports each
// step. Usage: RUNTIME cell.cjs '{"load":…,"stress":…}'.
"use strict";
const { runCell } = require("./run-cell.cjs");
const { fail, openOwnChannel, report, turning } = require("./protocol.cjs");

async function main() {
  const { channel, ...cell } = JSON.parse(process.argv[2]);
  if (channel) openOwnChannel(channel);
  report({ at: "start" });
  const stop = turning();
  try {
    await runCell(cell);
  } finally {
    stop();
  }
}

main().then(() => report({ at: "done" }), fail);
