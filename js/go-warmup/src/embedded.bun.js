// Where Bun's bundler put the libraries. It sees the calls of require() below, copies each file
// beside the bundle, or into the executable under --compile, and leaves the name here.
"use strict";
const { join } = require("path");

const NAMED = {
  "linux-x64": () => require("../lib/go-warmup-linux-x64.so"),
  "linux-arm64": () => require("../lib/go-warmup-linux-arm64.so"),
  "darwin-x64": () => require("../lib/go-warmup-darwin-x64.dylib"),
  "darwin-arm64": () => require("../lib/go-warmup-darwin-arm64.dylib"),
};

module.exports = function embedded(target) {
  let named;
  try {
    named = NAMED[target]();
  } catch {
    return []; // not bundled: newer releases try to run the library as a script, which cannot be
  }
  // Not bundled either, in older releases: a module with the path as its default.
  if (named && named.default) named = named.default;
  if (typeof named !== "string") return [];
  return [named.startsWith("/") ? named : join(require("./here.mjs").folder, named)];
};
