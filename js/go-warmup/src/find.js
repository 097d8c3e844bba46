// Where the library of a platform may be, and the first place that has it.
"use strict";
const fs = require("fs");
const path = require("path");
const embedded = require("#embedded");
const environment = require("./environment.js");
const { isEmbedded } = require("./unpack.js");

const SUFFIXES = { linux: ".so", darwin: ".dylib" };

// A library's file name, or undefined where none is built for the platform.
function fileName(host) {
  const suffix = SUFFIXES[host.platform];
  return suffix && `go-warmup-${host.target}${suffix}`;
}

// The places to look in, the surest first.
function places(host, name) {
  const given = environment(host, "GO_WARMUP_LIBRARY");
  if (given) return [path.resolve(given)];
  // The last are for other bundlers, whose users copy the folder lib.
  return [
    ...embedded(host.target),
    path.join(__dirname, "..", "lib", name),
    path.join(__dirname, "lib", name),
    path.join(path.dirname(program()), "lib", name),
  ];
}

// The script that was started, or the executable that it is part of.
function program() {
  const main = typeof Bun === "undefined" ? undefined : Bun.main;
  return main && !isEmbedded(main) ? main : process.execPath;
}

// The path and the bytes of the first place that has a file, or undefined. Bun's own files inside
// an executable can be read in every release, but do not "exist" in the older ones.
function firstOf(paths, unreadable) {
  for (const each of paths) {
    try {
      return { path: each, bytes: fs.readFileSync(each) };
    } catch (error) {
      if (!["ENOENT", "ENOTDIR"].includes(error.code)) throw unreadable(each, error);
    }
  }
  return undefined;
}

module.exports = { fileName, firstOf, places };
