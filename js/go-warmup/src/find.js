// Finds the library of a platform: the first of several places that has it.
"use strict";
const fs = require("fs");
const path = require("path");
const embedded = require("#embedded");
const { environment } = require("./environment.js");
const { isMusl } = require("./libc.js");
const { isEmbedded } = require("./unpack.js");

// Returns the platform that a library is built for. On Linux it includes the C library.
function platformOf(host) {
  return isMusl() ? `${host.target}-musl` : host.target;
}

// Returns a library's file name, or undefined if none is built for the platform. On Linux it is the
// guard, a part of this package. On macOS it is the warm-up library, a package of its own.
function fileName(host) {
  if (host.platform === "linux") return `go-guard-${platformOf(host)}.so`;
  if (host.platform === "darwin") return `go-warmup-${host.target}.dylib`;
  return undefined;
}

// Returns the library that a person names, by an option or in the environment.
function named(host, option) {
  return option || environment(host, "GO_WARMUP_LIBRARY");
}

// Returns the places to look in, the surest first.
function places(host, name) {
  const beside = [
    path.join(__dirname, "..", "lib", name),
    path.join(__dirname, "lib", name),
    path.join(path.dirname(program()), "lib", name),
  ];
  // The last are for other bundlers, whose users copy the folder lib.
  return [...embedded(platformOf(host)), ...platformPackage(host, name), ...beside];
}

// Returns the file in the optional package for this platform, if npm has installed it.
function platformPackage(host, name) {
  if (host.platform !== "darwin") return [];
  try {
    return [require.resolve(`@go-warmup/${host.target}/${name}`)];
  } catch {
    return [];
  }
}

// Returns the script that was started, or the executable that it is part of.
function program() {
  const main = typeof Bun === "undefined" ? undefined : Bun.main;
  return main && !isEmbedded(main) ? main : process.execPath;
}

// Returns the path and the bytes of the first place that has a file, or undefined. Every release of
// Bun can read its own files inside an executable, but in older ones they do not "exist".
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

module.exports = { fileName, firstOf, named, places };
