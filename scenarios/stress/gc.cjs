// Collects garbage on demand and by allocation. The event loop turns in between.
"use strict";
const { collections, garbage } = require("../gc.cjs");
const { turn } = require("../event-loop.cjs");

module.exports = async function gc() {
  for (let round = 0; round < 8; round++) {
    const kept = garbage();
    for (const collect of collections()) collect();
    if (kept.length !== 20_000 || kept[19_999].text !== "item 19999") {
      throw new Error("a live object was collected");
    }
    await turn(25);
  }
};
