// A build that really compiles: one C file, by the compiler that $CC names. What it has made it keeps.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync("package.json", "utf8"));
const head = spawnSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).stdout.trim();
const revision = `-DREVISION="${version}+${head.slice(0, 9)}"`;
const folder = "build/release";
const [object, flags] = [`${folder}/bun.o`, `${folder}/flags`];
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/arguments`, process.argv.slice(2).join(" "));

const run = (...words) => {
  const { status } = spawnSync(process.env.CC, ["cc", ...words], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
};
const written = (path) => statSync(path).mtimeMs;
const fresh =
  existsSync(object) &&
  readFileSync(flags, "utf8") === revision &&
  ["src/bun.c", "src/pool.h"].every((path) => written(path) <= written(object));
if (fresh) {
  console.log("[1/2] compiled before");
} else {
  console.log("[1/2] compiling");
  writeFileSync(flags, revision);
  run("-O1", revision, "-c", "src/bun.c", "-o", object);
}
console.log("[2/2] linking");
run(object, "-o", `${folder}/bun`);
