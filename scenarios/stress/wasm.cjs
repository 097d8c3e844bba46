// A tiny WebAssembly module, called once, with the loop turning afterwards.
"use strict";
const { Skip } = require("../saying.cjs");
const { turn } = require("../turning.cjs");

// (module (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const ADD = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01,
  0x7f, 0x03, 0x02, 0x01, 0x00, 0x07, 0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00, 0x0a, 0x09,
  0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x0b,
]);

module.exports = async function wasm() {
  if (typeof WebAssembly === "undefined") throw new Skip("this runtime has no WebAssembly");
  const { instance } = await WebAssembly.instantiate(ADD);
  const sum = instance.exports.add(40, 2);
  if (sum !== 42) throw new Error(`add(40, 2) returned ${sum}`);
  for (let i = 0; i < 4; i++) await turn(50);
};
