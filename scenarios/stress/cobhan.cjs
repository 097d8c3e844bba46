// Passes raw Cobhan buffers to a library with Asherah's interface, and checks how it handles each
// part: 4 bytes of length, 4 reserved bytes, then the data.
"use strict";
const { CONFIG } = require("../asherah/surface.cjs");
const { HEADER, open } = require("../asherah/ffi.cjs");
const { Skip } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const RESERVED = 0xdeadbeef;
const BEHIND = 0x5a;
const TOO_SMALL = -3;
const encoder = new TextEncoder();

// Makes a buffer at an aligned address plus `offset`, with bytes behind it.
function made(content, { offset = 0, header = HEADER } = {}) {
  const size = typeof content === "number" ? content : content.length;
  const buffer = new Uint8Array(offset + header + size + 16).fill(BEHIND).subarray(offset);
  const view = new DataView(buffer.buffer, offset);
  view.setInt32(0, size, true);
  if (header === HEADER) view.setUint32(4, RESERVED, true);
  if (typeof content !== "number") buffer.set(content, header);
  return { buffer, view, size };
}

function lengthOf({ view }) {
  return view.getInt32(0, true);
}

function contentOf(one) {
  return one.buffer.slice(HEADER, HEADER + lengthOf(one));
}

function expect(what, found, wanted) {
  if (found !== wanted) throw new Error(`${what}: ${found}, not ${wanted}`);
}

function expectIntact(what, one) {
  expect(`${what}: the reserved bytes`, one.view.getUint32(4, true), RESERVED);
  const behind = one.buffer.subarray(HEADER + one.size);
  expect(
    `${what}: the bytes behind`,
    behind.every((byte) => byte === BEHIND),
    true,
  );
}

module.exports = async function cobhan(cell, module) {
  if (cell.load !== "ffi") throw new Skip("an addon makes its buffers itself: the load is ffi");
  module.call("IsSetUp"); // a module without it says so by a skip
  const { now } = open(cell.library);
  const text = (value, how) => made(encoder.encode(value), how);
  const config = JSON.stringify(CONFIG);

  const short = now.SetupJson(text(config, { header: 4 }).buffer);
  if (short === 0) throw new Error("a header of 4 bytes was taken");
  expect("setup", now.SetupJson(text(config).buffer), 0);
  for (let offset = 0; offset < 8; offset++) {
    const data = Uint8Array.from({ length: 100 + offset }, (_, i) => (i * 37) & 0xff);
    const partition = text("partition", { offset });
    const record = made(1000, { offset: 7 - offset });
    const code = now.EncryptToJson(partition.buffer, made(data, { offset }).buffer, record.buffer);
    expect("encrypt", code, 0);
    expectIntact("the record", record);
    const json = contentOf(record);
    expect("the record", typeof JSON.parse(new TextDecoder().decode(json)).Data, "string");

    const decrypt = (room) => now.DecryptFromJson(partition.buffer, made(json).buffer, room.buffer);
    const exact = made(data.length, { offset });
    expect("decrypt", decrypt(exact), 0);
    expectIntact("the data", exact);
    expect("the data", Buffer.compare(Buffer.from(contentOf(exact)), Buffer.from(data)), 0);
    const small = made(data.length - 1);
    expect("decrypt into too little", decrypt(small), TOO_SMALL);
    expectIntact("what is too little", small);
    await turn(50); // as long as `idle` takes: where that hangs, this does, and not in some runs only
  }
  now.Shutdown();
};
