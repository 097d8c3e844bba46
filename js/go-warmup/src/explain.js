// Explains why an addon with Go did not load on musl, whose error names neither cause nor cure.
"use strict";
const path = require("path");
const { initialExecOf } = require("./elf.js");
const { GoWarmupError } = require("./errors.js");
const { isMusl } = require("./libc.js");

// The forms in which musl, Bun and their FFI name the file in their messages.
const NAMED = [/Error relocating (.+?): /, /^(.+?) is linked against glibc/, /library "(.+?)"/];

// Returns an error that says what to do, or the given one if the cause is another.
function explain(error) {
  try {
    if (error instanceof GoWarmupError || !isMusl()) return error;
    const message = String(error && error.message);
    const found = NAMED.map((each) => each.exec(message)).find(Boolean);
    return (found && unconverted(path.resolve(found[1]), error)) || error;
  } catch {
    return error; // a runtime that is not known
  }
}

// The error for a library that was not converted for musl, or undefined for any other.
function unconverted(file, cause) {
  const refused = initialExecOf(file);
  if (!refused) return undefined;
  const { ext, name } = path.parse(file);
  return new GoWarmupError(
    "MUSL",
    file,
    `${file} is not converted for musl, which refuses its relocation ${refused.name} at ` +
      `0x${refused.address.toString(16)} (Go's thread-local storage)`,
    `convert it once, on any machine: invoke convert-musl ${file} -o ${name}-musl${ext}`,
    cause,
  );
}

module.exports = { explain, unconverted };
