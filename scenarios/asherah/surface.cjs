// Asherah's functions (native/asherah/asherah.d.ts) of a cell's module, for every load.
"use strict";
const { Skip } = require("../protocol.cjs");
const { openAsherah } = require("./ffi.cjs");

function asherahOf(cell, module) {
  if (module.addon) {
    if (!module.addon.encrypt) throw new Skip("this module is not Asherah");
    return module.addon;
  }
  module.call("IsSetUp"); // a module without it says so by a skip
  return openAsherah(cell.library);
}

// Everything stays in memory. The key is part of the configuration.
const CONFIG = { ServiceName: "service", ProductID: "product", Metastore: "memory", KMS: "static" };

module.exports = { CONFIG, asherahOf };
