// Runs one cell: treats the runtime, loads the module, calls it, then stresses it, and says on
// standard output how far it got. Started as: RUNTIME cell.cjs '{"load":…,"stress":…}'.
"use strict";
const { loadModule, warmUp } = require("./loading.cjs");
const { fail, say, Skip } = require("./saying.cjs");

const BEAT_MS = 25;

async function main() {
  const cell = JSON.parse(process.argv[2]);
  say({ at: "start" });
  // The harness takes a loop that no longer turns for a hang, whatever the stress does.
  const beats = setInterval(() => say({ at: "beat" }), BEAT_MS);
  try {
    if (cell.warmup) {
      warmUp(cell);
      say({ at: "treated" });
    }
    await loadModule(cell);
    say({ at: "called" });
    await require(`./stress/${cell.stress}.cjs`)(cell);
    say({ at: "stressed" });
  } finally {
    clearInterval(beats);
  }
}

main().then(
  () => say({ at: "done" }),
  (error) => {
    if (error instanceof Skip) {
      say({ at: "skip", why: error.message });
    } else {
      fail(error);
    }
  },
);
