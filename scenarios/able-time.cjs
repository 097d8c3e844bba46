// The clock for every deadline of the scenarios. It counts the time in which processes could run. On
// a busy machine, five seconds of wall-clock time may pass before a healthy module has done anything.
// A stress would then report a fault, or take silence for an end.
"use strict";
const fs = require("node:fs");
const os = require("node:os");

const LOOK_MS = 20;
const GAP_MS = 100; // A longer pause between two looks is our own.
const SCHED_FIELDS = 3;

// Returns the kernel's counts for each thread of a process: nanoseconds on a processor, nanoseconds
// in the queue for one, and whether the thread runs or wants to. Empty if there is no /proc or no
// such process.
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

// Returns the part of `ms` milliseconds in which a process could run, as
// gobun/observe/scheduling.py counts it: the processors that its threads got, divided by those that
// they wanted (at most all of the machine's).
function ableShare(before, after, ms) {
  const span = ms * 1e6;
  let ran = 0;
  let waited = 0;
  for (const [tid, now] of after) {
    const then = before.get(tid) ?? { ran: 0, queued: 0 }; // A new thread begins here.
    ran += now.ran - then.ran;
    waited += now.queued - then.queued;
    // The kernel adds a thread's time in the queue when the wait is over.
    if (now.wants && now.ran === then.ran && now.queued === then.queued) waited += span;
  }
  const wanted = Math.min((ran + waited) / span, os.cpus().length);
  const missed = Math.max(wanted - ran / span, 0);
  return Math.max(1 - missed / Math.max(wanted, 1), 0);
}

// The factor by which this machine is slower than a usual one, from the harness. It is mostly 1.
const slowness = () => Math.max(1, Number(process.env.GOBUN_SLOWNESS) || 1);

// Counts the milliseconds of a usual machine in which this process and all of `pids` could run.
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
