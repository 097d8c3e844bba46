// For the first line of an application, or `bun --preload go-warmup/auto`.
"use strict";
module.exports = require("./index.js").warmup();
