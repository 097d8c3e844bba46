// The protocol: what a cell reports to the harness, one JSON object a line.
//
// With a channel, each line is a frame on a way of its own that begins with a secret key, so that
// nothing a module prints is taken for one. Without a channel, as in a bare command, lines go to
// standard output.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

// Kept as they are now: a module may replace them.
const { constants, openSync, readFileSync, unlinkSync, writeSync } = fs;
const { parse, stringify } = JSON;

const MARK = "@gobun ";
const BEAT_MS = 25;
const LONGEST_EVENT = 3900; // bytes; with key and numbers below PIPE_BUF, so written in one piece

// Thrown where a runtime lacks what a cell needs.
class Skip extends Error {}

// Thrown where a process that the cell started makes no progress.
class Hang extends Error {}

let send = (text) => writeSync(1, `${MARK}${text}\n`);
let forThread = () => undefined;

// Opens the channel in `folder` for the thread `line`. Returns nothing: whoever holds the key can
// write frames, so it stays in here.
function openChannel(folder, key, line) {
  const fd = openSync(path.join(folder, "events"), constants.O_WRONLY | constants.O_APPEND);
  let number = 0;
  let threads = 0;
  send = (text) => writeSync(fd, `\n${MARK}${key} ${line} ${++number} ${text}\n`);
  forThread = () => ({ folder, key, line: `${line}.${++threads}` });
}

// Opens the channel of this process, whose key nobody can read afterwards.
function openOwnChannel(folder) {
  const file = path.join(folder, "key");
  const key = readFileSync(file, "utf8");
  unlinkSync(file);
  openChannel(folder, key, "0");
}

// What a new thread needs for the channel. It is a secret: workers.cjs hands it over, worker-entry.cjs
// takes it before anything else runs there.
const channelForThread = () => forThread();

// Opens the channel in a thread, with what channelForThread() returned.
function openThreadChannel(given) {
  if (given) openChannel(given.folder, given.key, given.line);
}

// An event as JSON that fits into one frame: a reason that is too long is cut.
function fitted(event) {
  if (event.why === undefined) return stringify(event);
  let why = Buffer.from(String(event.why)).toString(); // Half a surrogate pair is no valid JSON.
  let text = stringify({ ...event, why });
  while (Buffer.byteLength(text) > LONGEST_EVENT && why) {
    why = why.slice(0, Math.floor(why.length * 0.8));
    text = stringify({ ...event, why: `${why}…` });
  }
  return text;
}

function report(event) {
  send(fitted(event));
}

// Says why a cell ends early: a runtime lacks something, something hangs, or it failed.
function fail(error) {
  if (error instanceof Skip) {
    report({ at: "skip", why: error.message });
    return;
  }
  const hangs = error instanceof Hang;
  report(hangs ? { at: "hang", why: error.message } : { at: "fail", why: reasonOf(error) });
  process.exitCode = 1;
}

const reasonOf = (error) => String((error && error.stack) || error);

// Says that this thread's event loop turns, until the function it returns is called: the harness
// takes a loop that no longer turns for a hang. The main thread's has no name, and it goes on saying
// so for as long as something else keeps its process from ending.
function turning(source) {
  const named = source ? { in: source } : {};
  if (source) report({ at: "turns", ...named });
  const beats = setInterval(() => report({ at: "beat", ...named }), BEAT_MS);
  return () => {
    if (!source) {
      beats.unref();
      return;
    }
    clearInterval(beats);
    report({ at: "ends", ...named });
  };
}

// The frames of one channel, read from its text as that grows: add(text) returns the new events.
function frameReader(key) {
  let rest = "";
  return function add(text) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (!line.startsWith(`${MARK}${key} `)) continue;
      const [, , , , ...words] = line.split(" ");
      events.push(parse(words.join(" ")));
    }
    return events;
  };
}

module.exports = {
  Hang,
  Skip,
  channelForThread,
  fail,
  frameReader,
  openOwnChannel,
  openThreadChannel,
  reasonOf,
  report,
  turning,
};
