// Which C library an executable of Linux was linked with: its ELF header names the loader.
"use strict";
const fs = require("fs");

const PT_INTERP = 3;

// "musl", "glibc", or "" where nothing can be said, as of a static executable.
function libcOf(executable) {
  let file;
  try {
    file = fs.openSync(executable, "r");
    const loader = loaderNamed(file);
    if (/ld-musl-/.test(loader)) return "musl";
    return /ld-linux/.test(loader) ? "glibc" : "";
  } catch {
    return "";
  } finally {
    if (file !== undefined) fs.closeSync(file);
  }
}

// All four platforms are 64 bits wide and little-endian.
function loaderNamed(file) {
  const head = bytesAt(file, 0, 64);
  if (head.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return "";
  const size = head.readUInt16LE(54);
  const count = head.readUInt16LE(56);
  const table = bytesAt(file, Number(head.readBigUInt64LE(32)), size * count);
  for (let at = 0; at + size <= table.length; at += size) {
    if (table.readUInt32LE(at) !== PT_INTERP) continue;
    const length = Math.min(Number(table.readBigUInt64LE(at + 32)), 4096);
    return bytesAt(file, Number(table.readBigUInt64LE(at + 8)), length).toString("latin1");
  }
  return "";
}

function bytesAt(file, position, length) {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, fs.readSync(file, buffer, 0, length, position));
}

module.exports = { libcOf };
