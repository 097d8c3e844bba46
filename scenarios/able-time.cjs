// The clock for every deadline in here: time in which processes were able to run. A stress that waits
// five seconds by the clock on the wall takes a busy machine for a fault of the module, and, where it
// takes silence for an end, a module that goes on for one that was stopped.
"use strict";
const fs = require("node:fs");
const os = require("node:os");

const LOOK_MS = 20;
const GAP_MS = 100; // A longer pause between two looks is our own.
const SCHED_FIELDS = 3;

// What the kernel counts for each thread of a process: nanoseconds on a processor and in the queue
// for one, and whether it runs or wants to. Empty where there is no /proc, or no such process.
function threadsOf(pid) {
  const found = new Map();
  let tids = [];
  try {
    tids = fs.readdirSync(`/proc/${pid}/task`);
  } catch {}
  for (const tid of tids) {
    try {
      const folder = `/proc/${pid}/task/${tid}`;
      const [ran, queued, ...rest] = fs.readFileSync(`${folder}/schedstat`, "latin1").split(" ");
      const stat = fs.readFileSync(`${folder}/stat`, "latin1");
      const wants = stat[stat.lastIndexOf(")") + 2] === "R";
      if (rest.length === SCHED_FIELDS - 2) found.set(tid, { ran: +ran, queued: +queued, wants });
    } catch {} // It has ended meanwhile.
  }
  return found;
}

// Which part of `ms` milliseconds a process was able to run in, as gobun/observe/scheduling.py counts
// it: of the processors that its threads wanted, as many as there are, how many they got.
function ableShare(before, after, ms) {
  const span = ms * 1e6;
  let ran = 0;
  let waited = 0;
  for (const [tid, now] of after) {
    const then = before.get(tid) ?? { ran: 0, queued: 0 }; // A new thread begins here.
    ran += now.ran - then.ran;
    waited += now.queued - then.queued;
    // The kernel counts the time in the queue when it is over.
    if (now.wants && now.ran === then.ran && now.queued === then.queued) waited += span;
  }
  const wanted = Math.min((ran + waited) / span, os.cpus().length);
  const missed = Math.max(wanted - ran / span, 0);
  return Math.max(1 - missed / Math.max(wanted, 1), 0);
}

// How many times slower this machine is than a usual one, as the harness says; mostly it is not.
const slowness = () => Math.max(1, Number(process.env.GOBUN_SLOWNESS) || 1);

// Counts the milliseconds of a usual machine in which all of `pids`, and this process too, were able
// to run.
class AbleTime {
  constructor(...pids) {
    this.pids = [...new Set([process.pid, ...pids])];
    this.total = 0;
    this.slowness = slowness();
    this.at = performance.now();
    this.seen = this.pids.map(threadsOf);
  }

  get ms() {
    const now = performance.now();
    const passed = now - this.at;
    if (passed < LOOK_MS) return this.total;
    const seen = this.pids.map(threadsOf);
    const shares = seen.map((after, i) => ableShare(this.seen[i], after, passed));
    const gap = GAP_MS * this.slowness; // Looks take longer on a slow machine too.
    this.total += (Math.min(passed, gap) * Math.min(...shares)) / this.slowness;
    this.at = now;
    this.seen = seen;
    return this.total;
  }
}

module.exports = { AbleTime, ableShare, threadsOf };
