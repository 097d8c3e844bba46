// Reads variables of the environment, where that asks nobody for permission, and prints debug lines.
"use strict";
const { read } = require("./detect.js");

function environment(host, name) {
  const value = read(() => {
    // Without --allow-env, Deno would ask the person at the terminal.
    const query = { name: "env", variable: name };
    if (host.runtime === "deno" && Deno.permissions.querySync(query).state !== "granted") return "";
    return process.env[name];
  });
  return value || "";
}

// With GO_WARMUP_DEBUG=1, prints what is done and why on standard error.
function say(host, message) {
  if (environment(host, "GO_WARMUP_DEBUG") === "1") console.error(`go-warmup: ${message}`);
}

module.exports = { environment, say };
