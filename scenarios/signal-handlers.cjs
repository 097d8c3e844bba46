// The disposition of each signal. A library without Go asks the kernel for it.
"use strict";
const os = require("node:os");
const { probe } = require("./loaders.cjs");

const LAST_SIGNAL = 64;
const HANDLED = 2; // with what native/c_fixture says of Disposition()
const WORDS = { 1: "ignored", 2: "handled", 4: "on-stack", 8: "with-info", 16: "restarts" };

function nameOf(number) {
  const named = Object.entries(os.constants.signals).find(([, value]) => value === number);
  return named ? named[0] : `signal ${number}`;
}

// Maps each signal's number to its disposition.
function dispositions(cell) {
  const found = {};
  for (let number = 1; number <= LAST_SIGNAL; number++) {
    const does = probe(cell, "Disposition", number);
    if (does >= 0) found[number] = does;
  }
  return found;
}

function inWords(does) {
  const words = Object.entries(WORDS).filter(([bit]) => does & bit);
  return words.map(([, word]) => word).join("+") || "default";
}

// Describes the differences between two such maps for people.
function changes(before, after) {
  const changed = Object.keys(after).filter((number) => before[number] !== after[number]);
  const told = changed.map((number) => {
    const name = nameOf(Number(number));
    return `${name} ${inWords(before[number])} → ${inWords(after[number])}`;
  });
  return told.join(", ");
}

// The signal with which JavaScriptCore suspends threads: of the candidates, the one that the runtime
// catches before anything is loaded. Undefined if there is none.
function suspendSignal(cell) {
  if (!process.versions.bun) return undefined;
  const { SIGPWR, SIGUSR1 } = os.constants.signals;
  const found = dispositions(cell);
  const candidates = [Number(process.env.JSC_SIGNAL_FOR_GC), SIGPWR, SIGUSR1];
  return candidates.find((candidate) => isHandled(found, candidate));
}

const isHandled = (found, number) => ((found[number] ?? 0) & HANDLED) !== 0;

module.exports = { changes, dispositions, nameOf, suspendSignal };
