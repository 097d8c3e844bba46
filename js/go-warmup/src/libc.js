// Which C library an executable of Linux was linked with: its ELF header names the loader.
"use strict";
const { loaderOf } = require("./elf.js");

// "musl", "glibc", or "" where nothing can be said, as of a static executable.
function libcOf(executable) {
  const loader = loaderOf(executable);
  if (/ld-musl-/.test(loader)) return "musl";
  return /ld-linux/.test(loader) ? "glibc" : "";
}

// Whether this process runs on musl.
const isMusl = () => process.platform === "linux" && libcOf(process.execPath) === "musl";

module.exports = { isMusl, libcOf };
