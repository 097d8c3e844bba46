// Variables of the environment, where asking for one disturbs nobody, and what one of them asks for.
"use strict";
const { read } = require("./detect.js");

function environment(host, name) {
  const value = read(() => {
    // Deno asks the person at the terminal when it was started without --allow-env.
    const query = { name: "env", variable: name };
    if (host.runtime === "deno" && Deno.permissions.querySync(query).state !== "granted") return "";
    return process.env[name];
  });
  return value || "";
}

// Under GO_WARMUP_DEBUG=1, what is done and why, on standard error.
function say(host, message) {
  if (environment(host, "GO_WARMUP_DEBUG") === "1") console.error(`go-warmup: ${message}`);
}

module.exports = { environment, say };
