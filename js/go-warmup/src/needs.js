// The reasons why runtimes need a library or none. The first row that fits decides. Bun on Linux
// always gets the guard, so there the version only decides the explanation.
"use strict";

// `before`: releases older than that. What is measured is in docs/why-it-hangs.md of the project.
const ROWS = [
  {
    runtime: "bun",
    platform: "linux",
    before: "1.4.4",
    need: "required",
    why: "Go's SA_ONSTACK on JavaScriptCore's suspend handler hangs it, and the guard prevents that",
  },
  {
    runtime: "bun",
    platform: "linux",
    need: "required",
    why:
      "Bun 1.4.4 and newer cope with SA_ONSTACK, but hang when a library takes the suspend signal " +
      "itself, and the guard prevents that",
  },
  {
    runtime: "bun",
    platform: "darwin",
    need: "optional",
    why: "a SIGBUS on macOS was reported, and is not confirmed; it did not occur after Go was started first",
  },
  { runtime: "bun", need: "none", why: "no hang with Go is known on this platform" },
  { runtime: "node", need: "none", why: "Node suspends no thread with signals" },
  { runtime: "deno", need: "none", why: "Deno suspends no thread with signals" },
  { need: "none", why: "this runtime is not known" },
];

function needOf(host) {
  const { need, why } = ROWS.find((row) => fits(row, host));
  return { need, why };
}

function fits(row, host) {
  return (
    (row.runtime === undefined || row.runtime === host.runtime) &&
    (row.platform === undefined || row.platform === host.platform) &&
    (row.before === undefined || isOlder(host.version, row.before))
  );
}

// A canary carries the number of a release that came before it, so it counts as that release.
// A version without a number counts as the newest.
function isOlder(version, than) {
  const [a, b] = [version, than].map((text) => /^(\d+)\.(\d+)\.(\d+)/.exec(text));
  if (!a) return false;
  for (let part = 1; part <= 3; part++) {
    if (a[part] !== b[part]) return Number(a[part]) < Number(b[part]);
  }
  return false;
}

module.exports = { ROWS, needOf };
