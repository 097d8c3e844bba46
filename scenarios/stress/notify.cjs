// Go handles signals itself, including the one with which JavaScriptCore suspends threads. The runtime
// must still be able to suspend threads. Go must still get that signal from another process if it
// asked for it.
"use strict";
const { spawn } = require("node:child_process");
const os = require("node:os");
const { collect, garbage } = require("../gc.cjs");
const { suspendSignal } = require("../signal-handlers.cjs");
const { expectResult } = require("../loaders.cjs");
const { Skip, report } = require("../protocol.cjs");
const { turn, until } = require("../event-loop.cjs");
const profile = require("./profile.cjs");

// The arguments of the module's TakeSignals().
const [EVERY, ONE, IGNORED, STOPPED, RESET] = [0, 1, 2, 3, 4];
const NOT_HERE = -1;
const LATE_MS = 10_000;

// Makes the runtime suspend the main thread: with collections, a profiler and, in some releases, an
// idle loop.
async function suspendThreads() {
  garbage();
  collect();
  if (process.versions.bun) {
    const { profile } = require("bun:jsc");
    if (typeof profile === "function") profile(garbage, 500);
  }
  await turn(100);
}

async function profileOnce() {
  try {
    await profile();
  } catch (error) {
    if (!(error instanceof Skip)) throw error;
  }
}

async function expectReceived(module, number) {
  const before = module.call("SignalsReceived", number);
  // Nobody waits for its end: SIGCHLD goes to Go now, and perhaps not to the runtime.
  const sender = spawn("/bin/sh", ["-c", `kill -${number} ${process.pid}`], { stdio: "ignore" });
  sender.unref();
  const late = `signal ${number} from another process did not reach Go, which asked for it`;
  const received = () => module.call("SignalsReceived", number) !== before;
  await until(received, LATE_MS, late, [sender.pid]);
}

module.exports = async function notify(cell, module, number) {
  const take = async (how, what) => {
    const result = module.call("TakeSignals", how, number);
    if (result === NOT_HERE) throw new Skip("this module takes no signals");
    expectResult(`TakeSignals(${how})`, result, 0);
    report({ at: what });
    await suspendThreads();
  };
  await take(EVERY, "every signal");
  await profileOnce();
  await expectReceived(module, number);
  await take(IGNORED, "ignored");
  await take(RESET, "reset");
  await take(ONE, "one signal");
  await expectReceived(module, number);
  await take(STOPPED, "stopped");
  await take(EVERY, "every signal again");
  await expectReceived(module, number);
  await take(RESET, "reset again");
};
module.exports.before = async function before(cell) {
  if (os.platform() !== "linux") throw new Skip("threads are suspended by a signal on Linux alone");
  return suspendSignal(cell) ?? os.constants.signals.SIGPWR;
};
