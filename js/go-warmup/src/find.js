// Where the library of a platform may be, and the first place that has it.
"use strict";
const fs = require("fs");
const path = require("path");
const embedded = require("#embedded");
const { environment } = require("./environment.js");
const { isMusl } = require("./libc.js");
const { isEmbedded } = require("./unpack.js");

// The platform that a library is built for, which on Linux has the C library in it.
function platformOf(host) {
  return isMusl() ? `${host.target}-musl` : host.target;
}

// A library's file name, or undefined where none is built for the platform: on Linux that of the
// guard, which is part of this package, on macOS that of the warm-up library, which is a package of
// its own.
function fileName(host) {
  if (host.platform === "linux") return `go-guard-${platformOf(host)}.so`;
  if (host.platform === "darwin") return `go-warmup-${host.target}.dylib`;
  return undefined;
}

// The library that a person names: by an option, or in the environment.
function named(host, option) {
  return option || environment(host, "GO_WARMUP_LIBRARY");
}

// The places to look in, the surest first.
function places(host, name) {
  const beside = [
    path.join(__dirname, "..", "lib", name),
    path.join(__dirname, "lib", name),
    path.join(path.dirname(program()), "lib", name),
  ];
  // The last are for other bundlers, whose users copy the folder lib.
  return [...embedded(platformOf(host)), ...platformPackage(host, name), ...beside];
}

// The file in the optional package for this platform, if npm has installed it.
function platformPackage(host, name) {
  if (host.platform !== "darwin") return [];
  try {
    return [require.resolve(`@go-warmup/${host.target}/${name}`)];
  } catch {
    return [];
  }
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

module.exports = { fileName, firstOf, named, places };
