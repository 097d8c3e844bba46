// Reads the headers of a Linux program or library. All four platforms are 64-bit and little-endian.
"use strict";
const fs = require("fs");

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_PLTRELSZ = 2;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_JMPREL = 23;
const RELA_SIZE = 24;
const MOST_BYTES = 1 << 26;
// For each machine, the relocation of Go's libraries that musl refuses.
const INITIAL_EXEC = {
  62: { kind: 18, name: "R_X86_64_TPOFF64" },
  183: { kind: 1030, name: "R_AARCH64_TLS_TPREL64" },
};

// Returns the loader that a program names, or "" if it names none, like a static executable.
function loaderOf(path) {
  return reading(path, "", ({ file, segments }) => {
    const named = segments.find((each) => each.kind === PT_INTERP);
    return named ? bytesAt(file, named.offset, Math.min(named.size, 4096)).toString("latin1") : "";
  });
}

// Returns a library's first relocation for initial-exec TLS: `{ name, address }`, or undefined.
function initialExecOf(path) {
  return reading(path, undefined, ({ file, machine, segments }) => {
    const sought = INITIAL_EXEC[machine];
    for (const table of sought ? relocationTables(file, segments) : []) {
      for (let at = 0; at + RELA_SIZE <= table.length; at += RELA_SIZE) {
        if (table.readUInt32LE(at + 8) !== sought.kind) continue;
        return { name: sought.name, address: numberAt(table, at) };
      }
    }
    return undefined;
  });
}

// Returns the result of `ask` for an ELF file, or `otherwise` for any other or damaged file.
function reading(path, otherwise, ask) {
  let file;
  try {
    file = fs.openSync(path, "r");
    const head = bytesAt(file, 0, 64);
    if (head.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") return otherwise;
    return ask({ file, machine: head.readUInt16LE(18), segments: segmentsOf(file, head) });
  } catch {
    return otherwise;
  } finally {
    if (file !== undefined) fs.closeSync(file);
  }
}

function segmentsOf(file, head) {
  const size = head.readUInt16LE(54);
  const table = bytesAt(file, numberAt(head, 32), size * head.readUInt16LE(56));
  const found = [];
  for (let at = 0; at + size <= table.length; at += size) {
    found.push({
      kind: table.readUInt32LE(at),
      offset: numberAt(table, at + 8),
      address: numberAt(table, at + 16),
      size: numberAt(table, at + 32),
    });
  }
  return found;
}

function relocationTables(file, segments) {
  const { offset, size } = segments.find((each) => each.kind === PT_DYNAMIC);
  const dynamic = bytesAt(file, offset, Math.min(size, MOST_BYTES));
  const values = {};
  for (let at = 0; at + 16 <= dynamic.length; at += 16) {
    values[numberAt(dynamic, at)] = numberAt(dynamic, at + 8);
  }
  const tables = [
    [values[DT_RELA], values[DT_RELASZ]],
    [values[DT_JMPREL], values[DT_PLTRELSZ]],
  ];
  return tables
    .filter(([address, length]) => address && length)
    .map(([address, length]) => {
      const isThere = (it) => it.address <= address && address < it.address + it.size;
      const load = segments.find((each) => each.kind === PT_LOAD && isThere(each));
      return bytesAt(file, address - load.address + load.offset, Math.min(length, MOST_BYTES));
    });
}

const numberAt = (bytes, at) => Number(bytes.readBigUInt64LE(at));

function bytesAt(file, position, length) {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, fs.readSync(file, buffer, 0, length, position));
}

module.exports = { initialExecOf, loaderOf };
