// A time limit on a script that never ends: JavaScriptCore's watchdog suspends the thread to stop it.
"use strict";
const { spawn } = require("node:child_process");
const vm = require("node:vm");
const { Skip } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

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

// Whether the runtime has such limits: older ones run the script for ever, with nothing loaded too.
function hasLimits() {
  const script = `try { require("node:vm").runInThisContext(${JSON.stringify(ENDLESS)}, { timeout: ${LIMIT_MS} }) } catch {}`;
  const words = globalThis.Deno ? ["eval"] : ["-e"];
  const child = spawn(process.execPath, [...words, script], { stdio: "ignore" });
  return new Promise((resolve) => {
    const late = setTimeout(() => {
      child.kill("SIGKILL");
      resolve(false);
    }, PATIENCE_MS);
    child.on("exit", () => {
      clearTimeout(late);
      resolve(true);
    });
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
