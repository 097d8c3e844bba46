// What an application requires before it loads a Go native module.
"use strict";
const { detect } = require("./src/detect.js");
const { needOf } = require("./src/needs.js");
const { GoWarmupError } = require("./src/errors.js");
const say = require("./src/say.js");

// The state of this thread: shared by every copy of the package, bundled ones included.
const KEPT = Symbol.for("go-warmup");
const NOT_DONE = { warmed: false, guard: "absent", library: null };

// Warms up where this runtime needs it, once; says what came of it, and throws where it must not
// go on.
function warmup(options) {
  const force = Boolean(options && options.force);
  const kept = globalThis[KEPT];
  if (kept && (kept.warmed || !force)) return kept;
  const host = detect(globalThis);
  const { need, why } = needOf(host);
  const done = need === "none" && !force ? leave(host, why) : load(host, need, why);
  const { runtime, version, target } = host;
  globalThis[KEPT] = Object.freeze({ runtime, version, target, need, why, ...NOT_DONE, ...done });
  return globalThis[KEPT];
}

function leave(host, why) {
  say(host, `${named(host)}: nothing to do: ${why}`);
}

function load(host, need, why) {
  say(host, `${named(host)}: ${need === "none" ? "asked to by force" : `${need}: ${why}`}`);
  if (host.runtime === "bun" || host.runtime === "deno") {
    // Here, because a runtime that is not known may lack what it requires.
    return require("./src/load.js").load(host, need === "required");
  }
  say(host, "nothing is loaded: this runtime has no foreign function interface");
  return undefined;
}

// Warms up where this runtime needs it, then loads: the drop-in for a package's `require`.
function wrap(load) {
  if (typeof load !== "function") {
    throw new TypeError("wrap() takes a function that loads: wrap(() => require('./x.node'))");
  }
  warmup();
  return load();
}

function named(host) {
  return `${host.runtime} ${host.version} on ${host.target}`;
}

module.exports = { GoWarmupError, warmup, wrap };
