// Sets a time limit for a script that never ends. JavaScriptCore's watchdog suspends the thread to
// stop it.
"use strict";
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const vm = require("node:vm");
const { runtimeWords } = require("../child-process.cjs");
const { Skip } = require("../protocol.cjs");
const { turn, within } = require("../event-loop.cjs");

const LIMIT_MS = 50;
const PATIENCE_MS = 3000;
const ENDLESS = "while (true) {}";
const CODE = "ERR_SCRIPT_EXECUTION_TIMEOUT";

function stopped() {
  try {
    vm.runInThisContext(ENDLESS, { timeout: LIMIT_MS });
  } catch (error) {
    return error.code === CODE || /timed out|terminated/i.test(error.message);
  }
  return false;
}

// Returns whether the runtime has such limits. Older ones run the script forever, even without a
// module.
function hasLimits() {
  // In a file, because Bun 1.0.4 has no flag for a script, and ends.
  const file = path.join(os.tmpdir(), "endless.cjs");
  const call = `require("node:vm").runInThisContext("${ENDLESS}", { timeout: ${LIMIT_MS} })`;
  fs.writeFileSync(file, `try { ${call} } catch {}\n`);
  const child = spawn(process.execPath, [...runtimeWords(), file], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.on("exit", () => resolve(true)));
  return within(PATIENCE_MS, ended, "it runs for ever", [child.pid]).catch(() => {
    child.kill("SIGKILL");
    return false;
  });
}

module.exports = async function vmTimeout() {
  for (let i = 0; i < 3; i++) {
    if (!stopped()) throw new Error(`vm did not stop a script after ${LIMIT_MS} ms`);
    await turn(20);
  }
};
module.exports.before = async function before() {
  if (globalThis.Deno) throw new Skip("the vm of Deno has no time limits");
  if (!(await hasLimits())) throw new Skip("the vm of this runtime has no time limits");
};
