// A library inside an executable, made a file: the loader of the system opens nothing else.
"use strict";
const fs = require("fs");
const os = require("os");
const path = require("path");

// Bun's own name for what `bun build --compile` has embedded.
const isEmbedded = (file) => file.startsWith("/$bunfs/") || file.startsWith("compiled:");

// The same content has the same path in every thread, so that it is loaded once in a process.
function unpacked(bytes, digest) {
  const folder = path.join(os.tmpdir(), `go-warmup-${process.getuid()}`);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const about = fs.lstatSync(folder);
  if (!about.isDirectory() || about.uid !== process.getuid() || about.mode & 0o022) {
    throw new Error(`${folder} is not a folder that only this user can write`);
  }
  const file = path.join(folder, `${digest}.so`);
  if (!has(file, bytes)) {
    const staged = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
    try {
      fs.writeFileSync(staged, bytes, { mode: 0o700, flag: "wx" });
      fs.renameSync(staged, file);
    } catch (error) {
      fs.rmSync(staged, { force: true });
      throw error;
    }
  }
  return file;
}

function has(file, bytes) {
  try {
    return bytes.equals(fs.readFileSync(file));
  } catch {
    return false;
  }
}

module.exports = { isEmbedded, unpacked };
