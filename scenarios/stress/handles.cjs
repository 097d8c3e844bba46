// Makes 10^5 Node-API objects, in constructors of a native class and in completions of asynchronous
// work, and collects garbage meanwhile.
"use strict";
const { collect } = require("../gc.cjs");
const { turn } = require("../event-loop.cjs");

const ROUNDS = 5;
const INSTANCES = 2000; // of 6 objects each
const LATER = 10_000;

module.exports = async function handles(cell, module) {
  const Handle = module.napi("Handle");
  const manyLater = module.napi("manyLater");
  for (let round = 0; round < ROUNDS; round++) {
    const later = manyLater(LATER);
    const instances = Array.from({ length: INSTANCES }, (_, i) => new Handle(i));
    collect();
    instances.forEach((instance, i) => {
      const same = instance.number === i && instance.kept() === i && instance.parts.length === 4;
      if (!same || instance.parts.some((part) => part.number !== i)) {
        throw new Error(`instance ${i} holds ${JSON.stringify(instance)}`);
      }
    });
    const made = await later;
    collect();
    const wrong = made.findIndex((object, i) => object.number !== i);
    if (made.length !== LATER || wrong >= 0) {
      throw new Error(`object ${wrong} of ${made.length} is wrong`);
    }
    await turn(10);
  }
};
