// Detects the C library of a Linux executable: its ELF header names the loader.
"use strict";
const { loaderOf } = require("./elf.js");

// Returns "musl", "glibc", or "" if it is unknown, as for a static executable.
function libcOf(executable) {
  const loader = loaderOf(executable);
  if (/ld-musl-/.test(loader)) return "musl";
  return /ld-linux/.test(loader) ? "glibc" : "";
}

// Returns whether this process runs on musl.
const isMusl = () => process.platform === "linux" && libcOf(process.execPath) === "musl";

module.exports = { isMusl, libcOf };
