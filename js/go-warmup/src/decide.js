// Decides what a runtime needs, and reports it. The modules that may fail in a strange runtime (files,
// hashing, FFI) are required only when a known runtime must load something.
"use strict";
const { say } = require("./environment.js");
const { needOf } = require("./needs.js");

// Returns what was loaded, or `undefined` for nothing.
function decide(host, { force, library }) {
  const { need, why } = needOf(host);
  const where = `${host.runtime} ${host.version} on ${host.target}`;
  if (need === "none" && !force && !library) {
    say(host, `${where}: nothing to do: ${why}`);
    return undefined;
  }
  say(host, `${where}: ${need === "none" ? "asked to by force" : `${need}: ${why}`}`);
  if (host.runtime === "bun" || host.runtime === "deno") {
    return require("./load.js").load(host, need === "required", library);
  }
  say(host, "nothing is loaded: this runtime has no foreign function interface");
  return undefined;
}

module.exports = { decide };
