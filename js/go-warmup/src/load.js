// Finds the library, holds it to its checksum, loads it and calls it.
"use strict";
const { createHash } = require("crypto");
const path = require("path");
const { GoWarmupError } = require("./errors.js");
const environment = require("./environment.js");
const { fileName, firstOf, places } = require("./find.js");
const { libcOf } = require("./libc.js");
const say = require("./say.js");
const { isEmbedded, unpacked } = require("./unpack.js");

const OVERRIDE = "set GO_WARMUP_LIBRARY to the path of one";

// `undefined` where there is nothing to load and nothing that needs it.
function load(host, required) {
  const name = fileName(host);
  if (!name) {
    say(host, `nothing is loaded: no library is built for ${host.target}`);
    return undefined;
  }
  refuseMusl(host, name);
  const looked = places(host, name);
  const found = firstOf(looked, (file, error) => unloadable(file, error, false));
  if (!found) {
    if (required || environment(host, "GO_WARMUP_LIBRARY")) throw missing(host, looked);
    say(host, `nothing is loaded: there is no ${looked.join(", no ")}`);
    return undefined;
  }
  const digest = createHash("sha256").update(found.bytes).digest("hex");
  check(host, found.path, name, digest);
  const opened = open(host, found, digest);
  if (opened.result !== 1) {
    throw new GoWarmupError(
      "RESULT",
      opened.file,
      `Warmup() of ${opened.file} returned ${opened.result}, not 1`,
      "it is not a warm-up library: install go-warmup again, or look at GO_WARMUP_LIBRARY",
    );
  }
  const guard = guardOf(host, found.bytes);
  say(host, `loaded ${opened.file}: Warmup() returned 1, ${SAID[guard]}`);
  return { warmed: true, guard, library: opened.file };
}

const SAID = {
  inside: "the signal guard is inside",
  off: "the signal guard inside is switched off by GO_WARMUP_GUARD=0",
  absent: "it has no signal guard, and without that it cures no hang",
};

// A library with the guard inside asks for this variable, so its name stands in it as text.
function guardOf(host, bytes) {
  if (!bytes.includes("GO_WARMUP_GUARD")) return "absent";
  return environment(host, "GO_WARMUP_GUARD") === "0" ? "off" : "inside";
}

function refuseMusl(host, name) {
  if (host.platform !== "linux" || libcOf(process.execPath) !== "musl") return;
  throw new GoWarmupError(
    "MUSL",
    name,
    `${process.execPath} is built for musl, where no Go shared library can be loaded ` +
      "(its thread-local storage has to be there from the start)",
    "use the runtime's build for glibc, such as a Debian image instead of an Alpine one",
  );
}

function missing(host, looked) {
  const given = environment(host, "GO_WARMUP_LIBRARY");
  return new GoWarmupError(
    "MISSING",
    looked[0],
    given
      ? `GO_WARMUP_LIBRARY names ${looked[0]}, which is not there`
      : `Bun ${host.version} on ${host.target} needs the warm-up library, and it is in none of:` +
        looked.map((each) => `\n  ${each}`).join(""),
    given
      ? "correct the path, or leave the variable out"
      : `install go-warmup again, copy its folder lib beside your bundle, or ${OVERRIDE}; ` +
        "Bun 1.4.4 and newer need none",
  );
}

// What has the package's own name has to be the package's own file.
function check(host, file, name, digest) {
  const sums = require("../sums.json");
  const given = environment(host, "GO_WARMUP_LIBRARY");
  const wanted = sums[given ? path.basename(file) : name];
  if (wanted === undefined) {
    say(host, `${file} is not a file of this package, so it is not checked`);
    return;
  }
  if (wanted === digest) return;
  throw new GoWarmupError(
    "CORRUPT",
    file,
    `${file} is damaged or of another release, and is not loaded:` +
      `\n  expected SHA-256: ${wanted}\n  found:            ${digest}`,
    given
      ? "correct GO_WARMUP_LIBRARY; a library of your own needs a name of its own"
      : "install go-warmup again",
  );
}

function open(host, found, digest) {
  let file = found.path;
  try {
    if (isEmbedded(file)) file = unpacked(found.bytes, digest);
    if (host.runtime === "deno") {
      const warmup = { parameters: [], result: "i32" };
      return { file, result: Deno.dlopen(file, { Warmup: warmup }).symbols.Warmup() };
    }
    // Here, because other bundlers let pass what they cannot resolve inside of a try.
    const { dlopen } = require("bun:ffi");
    const warmup = { args: [], returns: "i32" };
    return { file, result: dlopen(file, { Warmup: warmup }).symbols.Warmup() };
  } catch (error) {
    throw unloadable(file, error, isEmbedded(found.path));
  }
}

function unloadable(file, error, embedded) {
  return new GoWarmupError(
    "LOAD",
    file,
    `${file} cannot be loaded: ${error && error.message}`,
    embedded
      ? `set TMPDIR to a folder that allows programs, or ${OVERRIDE}`
      : `look at its permissions and the system's messages, or ${OVERRIDE}`,
    error,
  );
}

module.exports = { load };
