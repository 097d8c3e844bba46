// A build that really compiles: of one C file, by the compiler that $CC names.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const head = spawnSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).stdout.trim();
const revision = `-DREVISION="${version}+${head.slice(0, 9)}"`;
mkdirSync("build/release", { recursive: true });
writeFileSync("build/release/arguments", process.argv.slice(2).join(" "));
console.log("[1/2] compiling");
const words = ["cc", "-O1", revision, "src/bun.c", "-o", "build/release/bun"];
const done = spawnSync(process.env.CC, words, { stdio: "inherit" });
console.log(`[2/2] linked: ${done.status}`);
process.exit(done.status ?? 1);
