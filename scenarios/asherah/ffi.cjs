// Asherah's library through the foreign function interface of Bun or Deno. It has the names and
// results of the addon (native/asherah/asherah.d.ts). Only Deno can call on another thread.
"use strict";
const { Skip } = require("../protocol.cjs");

const HEADER = 8;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const CALLS = {
  SetEnv: 1,
  SetupJson: 1,
  EncryptToJson: 3,
  DecryptFromJson: 3,
};

function openInBun(library) {
  const { dlopen } = require("bun:ffi");
  const declared = {
    Shutdown: { args: [], returns: "void" },
    IsSetUp: { args: [], returns: "i32" },
    EstimateBuffer: { args: ["i32", "i32"], returns: "i32" },
    LastReason: { args: ["ptr", "i32"], returns: "i32" },
  };
  for (const [name, count] of Object.entries(CALLS)) {
    declared[name] = { args: Array(count).fill("ptr"), returns: "i32" };
  }
  return { now: dlopen(library, declared).symbols };
}

function openInDeno(library) {
  const declared = {
    Shutdown: { parameters: [], result: "void" },
    IsSetUp: { parameters: [], result: "i32" },
    EstimateBuffer: { parameters: ["i32", "i32"], result: "i32" },
    LastReason: { parameters: ["buffer", "i32"], result: "i32" },
  };
  const later = {};
  for (const [name, count] of Object.entries(CALLS)) {
    declared[name] = { parameters: Array(count).fill("buffer"), result: "i32" };
    later[name] = { ...declared[name], nonblocking: true };
  }
  return {
    now: Deno.dlopen(library, declared).symbols,
    later: Deno.dlopen(library, later).symbols,
  };
}

function open(library) {
  if (process.versions.bun) return openInBun(library);
  if (globalThis.Deno) return openInDeno(library);
  throw new Skip("this runtime has no foreign function interface that takes buffers");
}

// Makes a Cobhan buffer of the given bytes, or with room for that many.
function buffer(content) {
  const length = typeof content === "number" ? content : content.length;
  const made = new Uint8Array(HEADER + length);
  new DataView(made.buffer).setInt32(0, length, true);
  if (typeof content !== "number") made.set(content, HEADER);
  return made;
}

function contentOf(made) {
  const length = new DataView(made.buffer).getInt32(0, true);
  return made.subarray(HEADER, HEADER + length);
}

function openAsherah(library) {
  const { now, later } = open(library);

  function check(what, result) {
    if (result === 0) return;
    const text = new Uint8Array(1024);
    const length = now.LastReason(text, text.length);
    const error = new Error(`${what}: ${decoder.decode(text.subarray(0, length))}`);
    error.result = result;
    throw error;
  }

  // The reason of a failure belongs to the calling thread, until its next call.
  async function checkLater(what, promise) {
    const result = await promise;
    if (result !== 0) throw Object.assign(new Error(`${what}: result ${result}`), { result });
  }

  // Returns the UTF-8 of a string, or the bytes of a view of memory.
  function bytesOf(value) {
    if (typeof value === "string") return encoder.encode(value);
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  const text = (value) => buffer(encoder.encode(value));
  const jsonOf = (value) => text(typeof value === "string" ? value : JSON.stringify(value));

  function encryption(partition, data) {
    const [name, bytes] = [encoder.encode(partition), bytesOf(data)];
    const room = now.EstimateBuffer(bytes.length, name.length) - HEADER;
    return [buffer(name), buffer(bytes), buffer(room)];
  }
  function decryption(partition, record) {
    const json = bytesOf(record);
    return [text(partition), buffer(json), buffer(json.length)];
  }
  function encrypt(partition, data) {
    const buffers = encryption(partition, data);
    check("encrypt", now.EncryptToJson(...buffers));
    return decoder.decode(contentOf(buffers[2]));
  }
  function decrypt(partition, record) {
    const buffers = decryption(partition, record);
    check("decrypt", now.DecryptFromJson(...buffers));
    return Buffer.from(contentOf(buffers[2]));
  }
  function shutdown() {
    if (now.IsSetUp() !== 1) throw new Error("shutdown: Asherah is not set up: call setup first");
    now.Shutdown();
  }
  const asherah = {
    setup: (config) => check("setup", now.SetupJson(jsonOf(config))),
    shutdown,
    get_setup_status: () => now.IsSetUp() === 1,
    setenv: (environment) => check("setenv", now.SetEnv(text(environment))),
    encrypt,
    decrypt,
    encrypt_string: encrypt,
    decrypt_string: (partition, record) => decrypt(partition, record).toString(),
  };
  if (later) {
    asherah.encrypt_async = async (partition, data) => {
      const buffers = encryption(partition, data);
      await checkLater("encrypt_async", later.EncryptToJson(...buffers));
      return decoder.decode(contentOf(buffers[2]));
    };
    asherah.decrypt_async = async (partition, record) => {
      const buffers = decryption(partition, record);
      await checkLater("decrypt_async", later.DecryptFromJson(...buffers));
      return Buffer.from(contentOf(buffers[2]));
    };
  }
  return asherah;
}

module.exports = { HEADER, buffer, contentOf, open, openAsherah };
