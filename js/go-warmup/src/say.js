// Under GO_WARMUP_DEBUG=1, what is done and why, on standard error.
"use strict";
const environment = require("./environment.js");

module.exports = function say(host, message) {
  if (environment(host, "GO_WARMUP_DEBUG") === "1") console.error(`go-warmup: ${message}`);
};
