// The flag --cpu-prof, which profiles a whole run: here that of a child that loads the same module and
// idles.
"use strict";
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { described, runChild, runtimeWords } = require("../child-process.cjs");
const { Skip } = require("../protocol.cjs");

function profileIn(folder) {
  const name = fs.readdirSync(folder).find((name) => name.endsWith(".cpuprofile"));
  return name && JSON.parse(fs.readFileSync(path.join(folder, name), "utf8"));
}

module.exports = async function cpuProf(cell) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "cpu-prof-"));
  try {
    const flags = (name) => {
      fs.mkdirSync(path.join(folder, name));
      return ["--cpu-prof", `--cpu-prof-dir=${path.join(folder, name)}`];
    };
    // To find out if the runtime has the flag, let it write the profile of an almost empty script.
    const nothing = path.join(folder, "nothing.cjs");
    fs.writeFileSync(nothing, "setTimeout(() => {}, 5);\n");
    spawnSync(process.execPath, [...runtimeWords(), ...flags("asked"), nothing]);
    if (!profileIn(path.join(folder, "asked"))) throw new Skip("this runtime has no --cpu-prof");

    const ended = await runChild({ ...cell, stress: "idle" }, flags("loaded"));
    if (ended.code !== 0) throw new Error(`the profiled process: ${described(ended)}`);
    const profile = profileIn(path.join(folder, "loaded"));
    if (!profile || profile.nodes.length === 0) throw new Error("no profile was written");
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
};
