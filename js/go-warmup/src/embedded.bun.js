// The places where Bun's bundler put the libraries. It sees the calls of require() below, copies each
// file beside the bundle (with --compile, into the executable), and leaves its name here.
"use strict";
const { join } = require("path");

// Each call has its own `try`: only there does the bundler ignore a package that is not installed.
const NAMED = {
  "linux-x64": () => require("../lib/go-guard-linux-x64.so"),
  "linux-arm64": () => require("../lib/go-guard-linux-arm64.so"),
  "linux-x64-musl": () => require("../lib/go-guard-linux-x64-musl.so"),
  "linux-arm64-musl": () => require("../lib/go-guard-linux-arm64-musl.so"),
  "darwin-x64": () => {
    try {
      return require("@go-warmup/darwin-x64/go-warmup-darwin-x64.dylib");
    } catch {
      return undefined;
    }
  },
  "darwin-arm64": () => {
    try {
      return require("@go-warmup/darwin-arm64/go-warmup-darwin-arm64.dylib");
    } catch {
      return undefined;
    }
  },
};

module.exports = function embedded(platform) {
  let named;
  try {
    named = NAMED[platform]();
  } catch {
    return []; // not bundled: newer releases try to run the library as a script, which cannot be
  }
  // In older releases, which do not bundle it either, it is a module with the path as its default.
  if (named && named.default) named = named.default;
  if (typeof named !== "string") return [];
  return [named.startsWith("/") ? named : join(require("./here.mjs").folder, named)];
};
