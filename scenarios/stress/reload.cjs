// Loads the same module again: here, and in a worker.
"use strict";
const { callLibrary, expectResult, loadModule, openAddon } = require("../loaders.cjs");
const { startThread } = require("../workers.cjs");
const { turn } = require("../event-loop.cjs");

const tasks = {
  async loadAgain(cell) {
    const module = await loadModule(cell);
    expectResult("Run() in a worker", module.call("Run"), 0);
  },
};

function loadOnceMore(cell, module) {
  if (!module.addon) {
    expectResult("Run() of the library opened again", callLibrary(cell, cell.library, "Run"), 0);
    return;
  }
  expectResult("runSync() of the addon required twice", openAddon(cell).runSync(), 0);
  delete require.cache[require.resolve(cell.addon)]; // so that the runtime opens it anew
  expectResult("runSync() of the addon opened again", openAddon(cell).runSync(), 0);
}

module.exports = async function reload(cell, module) {
  for (let i = 0; i < 3; i++) {
    loadOnceMore(cell, module);
    expectResult("Run() of the module loaded first", module.call("Run"), 0);
    await turn(25);
  }
  await startThread(__filename, "loadAgain", cell).result;
  expectResult("Run() after a worker had it too", module.call("Run"), 0);
  await turn(100);
};
module.exports.tasks = tasks;
