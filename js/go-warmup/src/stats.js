// Reads the guard's counters: struct GuardStats of go-guard.h, with 64 bits for each field.
"use strict";
const REASONS = [
  "installed",
  "not-yet",
  "no-handler",
  "by-another",
  "platform",
  "no-stack",
  "lost",
];
const SIGNALS = ["signals", "others", "shared", "lost"];
// In the order of the struct, behind `size` and `reason`.
const FIELDS = [
  "signals",
  "others",
  "moved",
  "direct",
  "foreign",
  "tight",
  "unknown",
  "searched",
  "full",
  "shared",
  "lost",
  "restored",
];
const WORD = 8;

function guardStats(library) {
  const words = new BigUint64Array(2 + FIELDS.length);
  words[0] = BigInt(words.byteLength);
  const bytes = call(library, words);
  const stats = { reason: REASONS[Number(words[1])] || "unknown" };
  FIELDS.forEach((name, index) => {
    // A guard of an older release fills in fewer fields. The others stay 0 or empty.
    const value = (index + 3) * WORD <= bytes ? words[index + 2] : 0n;
    stats[name] = SIGNALS.includes(name) ? signalsIn(value) : Number(value);
  });
  return Object.freeze(stats);
}

// A library is opened only once, because Bun compiles code for each foreign function.
const opened = new Map();

function call(library, words) {
  if (!opened.has(library)) opened.set(library, open(library));
  return opened.get(library)(words);
}

function open(library) {
  if (typeof Bun === "undefined") {
    const found = { GuardStats: { parameters: ["buffer"], result: "i32" } };
    const { symbols } = Deno.dlopen(library, found);
    return (words) => symbols.GuardStats(new Uint8Array(words.buffer));
  }
  const { dlopen, ptr } = require("bun:ffi");
  const { symbols } = dlopen(library, { GuardStats: { args: ["ptr"], returns: "i32" } });
  return (words) => symbols.GuardStats(ptr(words));
}

function signalsIn(set) {
  const found = [];
  for (let signal = 1; signal <= 64; signal++) {
    if ((set >> BigInt(signal - 1)) & 1n) found.push(signal);
  }
  return found;
}

module.exports = { guardStats };
