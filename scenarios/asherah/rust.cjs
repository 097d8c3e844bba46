// npm's asherah 4.x, the makers' engine in Rust, as a module under test. It has the functions that
// stresses call in every fixture, and those of asherah-node that they use
// (native/asherah/asherah.d.ts).
"use strict";

const PARTITION = "partition";
const SECRET = "kept secret";
const OWN = {
  serviceName: "service",
  productId: "product",
  metastore: "memory",
  kms: "test-debug-static", // the key with which the published packages fill in "static"
  enableSessionCaching: true,
};
const FAILED = 1;

// The engine has its own names for its settings, and refuses null.
function engineConfig({ ServiceName, ProductID, Metastore, EnableSessionCaching }) {
  const given = { serviceName: ServiceName, productId: ProductID, metastore: Metastore };
  return { ...OWN, ...given, enableSessionCaching: EnableSessionCaching ?? false };
}

const bufferOf = (data) => (Buffer.isBuffer(data) ? data : Buffer.from(data));

function open(file) {
  const native = require(file);

  let ours = false; // whether the process's Asherah is that of runAsync

  // Makes an Asherah of its own, so that many threads may call at once.
  function runSync() {
    const factory = new native.SessionFactory(OWN);
    const session = factory.getSession(PARTITION);
    const found = session.decrypt(session.encrypt(Buffer.from(SECRET))); // takes a record as a string
    session.close();
    factory.close();
    return String(found) === SECRET ? 0 : FAILED;
  }
  // Sessions have no asynchronous calls, so this one takes the Asherah of the process.
  async function runAsync() {
    if (!native.getSetupStatus()) {
      try {
        native.setup(OWN);
        ours = true;
      } catch (error) {
        if (!native.getSetupStatus()) throw error; // or another thread was faster
      }
    }
    const record = await native.encryptAsync(PARTITION, Buffer.from(SECRET));
    const found = await native.decryptAsync(PARTITION, bufferOf(record));
    return String(found) === SECRET ? 0 : FAILED;
  }
  function setup(config) {
    if (ours) native.shutdown();
    ours = false;
    native.setup(engineConfig(config));
  }
  return {
    runSync,
    runAsync,
    setup,
    shutdown: native.shutdown,
    get_setup_status: native.getSetupStatus,
    encrypt: (partition, data) => native.encrypt(partition, bufferOf(data)),
    encrypt_async: (partition, data) => native.encryptAsync(partition, bufferOf(data)),
    decrypt: (partition, record) => native.decrypt(partition, bufferOf(record)),
    decrypt_async: (partition, record) => native.decryptAsync(partition, bufferOf(record)),
  };
}

module.exports = { open };
