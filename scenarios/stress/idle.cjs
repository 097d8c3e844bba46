// The event loop must still turn when there is nothing to do.
"use strict";
const { turn } = require("../event-loop.cjs");

module.exports = async function idle() {
  for (let i = 0; i < 8; i++) await turn(50);
};
