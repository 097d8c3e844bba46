// Variables of the environment, where asking for one disturbs nobody.
"use strict";
const { read } = require("./detect.js");

module.exports = function environment(host, name) {
  return read(() => {
    // Deno asks the person at the terminal when it was started without --allow-env.
    const query = { name: "env", variable: name };
    if (host.runtime === "deno" && Deno.permissions.querySync(query).state !== "granted") return "";
    return process.env[name];
  }) || "";
};
