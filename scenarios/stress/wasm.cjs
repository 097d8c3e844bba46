// WebAssembly: a call, many instances, and loops that run until the engine compiles them with its
// better compiler. The event loop turns in between.
"use strict";
const { Skip, report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

// (module
//   (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add))
const ADD = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01,
  0x7f, 0x03, 0x02, 0x01, 0x00, 0x07, 0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00, 0x0a, 0x09,
  0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x0b,
]);
// (module
//   (func (export "sum") (param $n i32) (result i32) (local $sum i32)
//     (loop
//       (local.set $sum (i32.add (local.get $sum) (local.get $n)))
//       (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
//     local.get $sum))
const SUM = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f,
  0x03, 0x02, 0x01, 0x00, 0x07, 0x07, 0x01, 0x03, 0x73, 0x75, 0x6d, 0x00, 0x00, 0x0a, 0x1b, 0x01,
  0x19, 0x01, 0x01, 0x7f, 0x03, 0x40, 0x20, 0x01, 0x20, 0x00, 0x6a, 0x21, 0x01, 0x20, 0x00, 0x41,
  0x01, 0x6b, 0x22, 0x00, 0x0d, 0x00, 0x0b, 0x20, 0x01, 0x0b,
]);

function expect(what, result, wanted) {
  if (result !== wanted) throw new Error(`${what} returned ${result}, not ${wanted}`);
}

module.exports = async function wasm() {
  if (typeof WebAssembly === "undefined") throw new Skip("this runtime has no WebAssembly");
  const { instance } = await WebAssembly.instantiate(ADD);
  expect("add(40, 2)", instance.exports.add(40, 2), 42);
  await turn(50);
  for (let i = 0; i < 64; i++) {
    const many = await WebAssembly.instantiate(ADD);
    expect(`add(${i}, 1)`, many.instance.exports.add(i, 1), i + 1);
  }
  await turn(50);
  report({ at: "tier-up" });
  // Several modules, because a compilation replaces the running loop only by chance.
  for (let compiled = 0; compiled < 3; compiled++) {
    const { sum } = (await WebAssembly.instantiate(SUM)).instance.exports;
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 50; i++) expect("sum(20000)", sum(20_000), 200_010_000);
      await turn(10);
    }
  }
};
