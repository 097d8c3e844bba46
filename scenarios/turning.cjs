// Lets the event loop turn for a while, which is what a server does most of its life.
"use strict";

function turn(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

module.exports = { turn };
