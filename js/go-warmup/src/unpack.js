// Writes a library from inside an executable to disk, because the system's loader opens only files.
"use strict";
const fs = require("fs");
const os = require("os");
const path = require("path");

// The prefix of the paths that `bun build --compile` embeds.
const isEmbedded = (file) => file.startsWith("/$bunfs/") || file.startsWith("compiled:");

// Returns the path of a file with these bytes that no other user can change. All threads of a
// process get the same path, so the process loads the library once.
function unpacked(bytes, digest) {
  const name = `${digest}.so`;
  const reasons = [];
  for (const folder of folders()) {
    try {
      return written(privateFolder(folder), name, bytes);
    } catch (error) {
      reasons.push(error.message);
    }
  }
  // Another user can take every fixed name in a shared folder, but not one that is random.
  const mapped = mappedFile(name);
  if (mapped) return mapped;
  try {
    const fresh = fs.mkdtempSync(path.join(os.tmpdir(), "go-warmup-"));
    return written(privateFolder(fresh), name, bytes);
  } catch (error) {
    throw new Error([...reasons, error.message].join("; "));
  }
}

// The fixed folders, first choice first. Only a folder of the home has no other writers.
function folders() {
  const cache = variable("XDG_CACHE_HOME") || path.join(os.homedir(), ".cache");
  const found = [path.join(os.tmpdir(), `go-warmup-${process.getuid()}`)];
  if (path.isAbsolute(cache)) found.push(path.join(cache, "go-warmup"));
  return found;
}

// Older bundlers write the builder's value in the place of `process.env.NAME`.
const variable = (name) => process.env[name];

// Makes the folder unless it is there, and checks that only this user can change what is in it.
function privateFolder(folder) {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const about = fs.lstatSync(folder);
  if (!about.isDirectory() || about.uid !== process.getuid() || about.mode & 0o022) {
    throw new Error(`${folder} is not a folder that only this user can write`);
  }
  // Without the sticky bit, whoever can write the parent can put another folder in this place.
  const parent = fs.statSync(path.dirname(folder));
  const owned = parent.uid === process.getuid() || parent.uid === 0;
  if (!owned || (parent.mode & 0o022 && !(parent.mode & 0o1000))) {
    throw new Error(`${path.dirname(folder)} lets other users replace ${folder}`);
  }
  return folder;
}

function written(folder, name, bytes) {
  const file = path.join(folder, name);
  if (has(file, bytes)) return file;
  const staged = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    fs.writeFileSync(staged, bytes, { mode: 0o700, flag: "wx" });
    fs.renameSync(staged, file);
  } catch (error) {
    fs.rmSync(staged, { force: true });
    throw error;
  }
  return file;
}

function has(file, bytes) {
  try {
    return fs.lstatSync(file).isFile() && bytes.equals(fs.readFileSync(file));
  } catch {
    return false;
  }
}

// Returns the path from which another thread of this process has loaded the library.
function mappedFile(name) {
  try {
    const maps = fs.readFileSync("/proc/self/maps", "utf8").split("\n");
    const line = maps.find((each) => each.endsWith(`/${name}`));
    return line && line.slice(line.indexOf("/"));
  } catch {
    return undefined; // another system than Linux
  }
}

module.exports = { isEmbedded, unpacked };
