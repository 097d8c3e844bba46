// The surface of Asherah (native/asherah/asherah.d.ts) of a cell's module, however it was loaded.
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

// Everything in memory, under a key of the configuration's own.
const CONFIG = { ServiceName: "service", ProductID: "product", Metastore: "memory", KMS: "static" };

module.exports = { CONFIG, asherahOf };
