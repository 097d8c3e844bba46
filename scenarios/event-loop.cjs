// Lets the event loop turn for a while, which is what a server does most of its life.
"use strict";

function turn(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

// Lets the loop turn until `promise` settles; after `ms` it is refused with `why`.
async function within(ms, promise, why) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(why)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

module.exports = { turn, within };
