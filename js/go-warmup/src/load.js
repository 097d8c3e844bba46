// Finds the library, verifies its checksum, loads it and calls it. The short way is in index.js.
"use strict";
const { createHash } = require("crypto");
const path = require("path");
const { GoWarmupError } = require("./errors.js");
const { environment, say } = require("./environment.js");
const { unconverted } = require("./explain.js");
const { fileName, firstOf, named, places } = require("./find.js");
const { isMusl } = require("./libc.js");
const { isEmbedded, unpacked } = require("./unpack.js");

// Returns `undefined` if there is nothing to load and nothing that needs it.
function load(host, required, option) {
  const given = named(host, option);
  const name = fileName(host);
  if (!name && !given) {
    say(host, `nothing is loaded: no library is built for ${host.target}`);
    return undefined;
  }
  if (!given && host.platform === "linux" && environment(host, "GO_WARMUP_GUARD") === "0") {
    say(host, "nothing is loaded: GO_WARMUP_GUARD=0 switches the guard off");
    return { guard: "off" };
  }
  const looked = given ? [path.resolve(given)] : places(host, name);
  const found = firstOf(looked, (file, error) => unloadable(file, error, false));
  if (!found) {
    if (required || given) throw missing(host, looked, given);
    say(host, `nothing is loaded: there is no ${looked.join(", no ")}`);
    return undefined;
  }
  const opened = checkedAndOpened(host, found, given ? path.basename(given) : name, given);
  const guardLibrary = opened.guard === "inside" ? watching(host) : opened.guardLibrary;
  return { warmed: true, guard: opened.guard, library: opened.file, guardLibrary };
}

// Loads the package's own guard beside the one in a warm-up library, which exports no function that
// reads its state. Without the package's guard that state stays unknown.
function watching(host) {
  try {
    const name = fileName(host);
    const found = firstOf(places(host, name), (_, error) => error);
    if (found) return checkedAndOpened(host, found, name, "").guardLibrary;
    say(host, `the state of the guard inside is not known: there is no ${name}`);
  } catch (error) {
    say(host, `the state of the guard inside is not known: ${error.message}`);
  }
  return null;
}

function checkedAndOpened(host, found, name, given) {
  const digest = createHash("sha256").update(found.bytes).digest("hex");
  check(host, found.path, name, digest, given);
  const opened = open(host, found, digest);
  say(host, `loaded ${opened.file}: ${opened.said}`);
  return opened;
}

const SAID = {
  inside: "the signal guard is inside",
  off: "the signal guard inside is switched off by GO_WARMUP_GUARD=0",
  absent: "it has no signal guard, and without that it cures no hang",
};

// A library with the guard inside reads this variable, so it contains the name as text.
function guardOf(host, bytes) {
  if (!bytes.includes("GO_WARMUP_GUARD")) return "absent";
  return environment(host, "GO_WARMUP_GUARD") === "0" ? "off" : "inside";
}

function missing(host, looked, given) {
  if (given) {
    return new GoWarmupError(
      "MISSING",
      looked[0],
      `the library that is named (GO_WARMUP_LIBRARY names it, or the option library), ${looked[0]}, ` +
        "is not there",
      "correct the path, or leave it out",
    );
  }
  return new GoWarmupError(
    "MISSING",
    looked.find((each) => !isEmbedded(each)),
    `Bun ${host.version} on ${host.target} needs the guard, and it is in none of:` +
      looked.map((each) => `\n  ${each}`).join(""),
    "install go-warmup again, copy its folder lib beside your bundle, " +
      "or set GO_WARMUP_LIBRARY to the path of one",
  );
}

// A file with the package's own name must be the package's own file.
function check(host, file, name, digest, given) {
  const expected = require("../sums.json")[name];
  if (expected === undefined) {
    say(host, `${file} is not a file of this package, so it is not checked`);
    return;
  }
  if (expected === digest) return;
  throw new GoWarmupError(
    "CORRUPT",
    file,
    `${file} is damaged or of another release, and is not loaded:` +
      `\n  expected SHA-256: ${expected}\n  found:            ${digest}`,
    given
      ? "correct GO_WARMUP_LIBRARY; a library of your own needs a name of its own"
      : "install go-warmup again",
  );
}

// A library is recognized by the name that it exports, which it contains as text.
function open(host, found, digest) {
  let file = found.path;
  try {
    if (isEmbedded(file)) file = unpacked(found.bytes, digest);
    return found.bytes.includes("\0GuardInstall\0")
      ? openGuard(host, file)
      : openWarmup(host, file, found.bytes);
  } catch (error) {
    if (error instanceof GoWarmupError) throw error;
    throw forOtherLibc(file, error) || unloadable(file, error, isEmbedded(found.path));
  }
}

function openGuard(host, file) {
  // Bun loads an addon faster than it prepares a foreign function.
  if (host.runtime === "bun") process.dlopen({ exports: {} }, file);
  else expect(file, "GuardInstall", call(host, file, "GuardInstall"), (result) => result >= 0);
  return { file, guardLibrary: file, guard: "installed", said: "the signal guard is installed" };
}

function openWarmup(host, file, bytes) {
  expect(file, "Warmup", call(host, file, "Warmup"), (result) => result === 1);
  const guard = guardOf(host, bytes);
  return { file, guardLibrary: null, guard, said: `Warmup() returned 1, ${SAID[guard]}` };
}

function call(host, file, name) {
  if (host.runtime === "deno") {
    return Deno.dlopen(file, { [name]: { parameters: [], result: "i32" } }).symbols[name]();
  }
  // Here, because other bundlers accept inside a try what they cannot resolve.
  const { dlopen } = require("bun:ffi");
  return dlopen(file, { [name]: { args: [], returns: "i32" } }).symbols[name]();
}

function expect(file, name, result, isRight) {
  if (isRight(result)) return;
  throw new GoWarmupError(
    "RESULT",
    file,
    `${name}() of ${file} returned ${result}`,
    "it cannot work here, or is another library: install go-warmup again, or look at " +
      "GO_WARMUP_LIBRARY",
  );
}

// Returns the error for a library that is built for glibc, in a process on musl.
function forOtherLibc(file, error) {
  if (!isMusl()) return undefined;
  const name = path.basename(file, ".so");
  if (!require("../sums.json")[`${name}-musl.so`]) return unconverted(file, error);
  return new GoWarmupError(
    "MUSL",
    file,
    `${file} is built for glibc, and ${process.execPath} for musl`,
    `name ${name}-musl.so, or leave GO_WARMUP_LIBRARY and the option library out`,
    error,
  );
}

function unloadable(file, error, embedded) {
  return new GoWarmupError(
    "LOAD",
    file,
    `${file} cannot be loaded: ${error && error.message}`,
    embedded
      ? "set TMPDIR to a folder that allows programs, or set GO_WARMUP_LIBRARY to the path of one"
      : "look at its permissions and the system's messages, " +
          "or set GO_WARMUP_LIBRARY to the path of one",
    error,
  );
}

module.exports = { load };
