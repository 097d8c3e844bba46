// Uses Asherah as an application does: sets it up, encrypts and decrypts data of many sizes in many
// partitions, by synchronous and asynchronous calls, expects refusals of misuse, shuts it down, and
// sets it up again.
"use strict";
const { CONFIG, asherahOf } = require("../asherah/surface.cjs");
const { Skip, report } = require("../protocol.cjs");
const { turn } = require("../event-loop.cjs");

const OTHER_KEY = "another 32 bytes of a master key";
const SIZES = [0, 1, 15, 16, 17, 2047, 2048, 65_536, 1 << 20, 8 << 20];
const TEXTS = ["", "plain", "größe, 床前明月光, 🎉", "zero \0 inside", "\u2028<&>\u2029"];
const PARTITIONS = 1000;
const AT_ONCE = 200;

function equal(what, found, wanted) {
  if (Buffer.compare(Buffer.from(found), Buffer.from(wanted)) !== 0) {
    throw new Error(`${what}: ${found.length} bytes came back that differ from ${wanted.length}`);
  }
}

// Throws unless the call fails with a reason that contains this text.
async function refused(what, reason, call) {
  let said = null;
  try {
    await call();
  } catch (error) {
    said = String(error && error.message);
  }
  if (said === null) throw new Error(`${what} was not refused`);
  if (!reason.test(said)) throw new Error(`${what} was refused with: ${said}`);
}

function bytes(size) {
  const data = new Uint8Array(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31 + (i >> 8)) & 0xff;
  return data;
}

// Returns a record with one bit of its data flipped.
function tampered(record) {
  const parsed = JSON.parse(record);
  const data = Buffer.from(parsed.Data, "base64");
  data[data.length >> 1] ^= 1;
  return JSON.stringify({ ...parsed, Data: data.toString("base64") });
}

async function roundTrips(asherah) {
  for (const size of SIZES) {
    const data = bytes(size);
    equal(`${size} bytes`, asherah.decrypt("sizes", asherah.encrypt("sizes", data)), data);
    await turn(0);
  }
  for (const text of TEXTS) {
    const partition = `partition ${text}`;
    const found = asherah.decrypt_string(partition, asherah.encrypt_string(partition, text));
    if (found !== text) throw new Error(`${JSON.stringify(text)} became ${JSON.stringify(found)}`);
  }
}

async function manyPartitions(asherah) {
  const records = [];
  for (let i = 0; i < PARTITIONS; i++) {
    records.push(asherah.encrypt(`partition ${i}`, bytes(i % 64)));
    if (i % 50 === 0) await turn(0);
  }
  for (let i = 0; i < PARTITIONS; i++) {
    equal(`partition ${i}`, asherah.decrypt(`partition ${i}`, records[i]), bytes(i % 64));
    if (i % 50 === 0) await turn(0);
  }
}

// Makes many calls at once, and passes records from synchronous calls to asynchronous ones and back.
async function atOnce(asherah) {
  if (!asherah.encrypt_async) {
    report({ at: "without", why: "this load has no asynchronous calls" });
    return;
  }
  const wanted = Array.from({ length: AT_ONCE }, (_, i) => bytes(i * 7));
  const later = wanted.map((data, i) => asherah.encrypt_async(`at once ${i % 9}`, data));
  const now = wanted.map((data, i) => asherah.encrypt(`at once ${i % 9}`, data));
  const records = await Promise.all(later);
  const crossed = now.map((record, i) => asherah.decrypt_async(`at once ${i % 9}`, record));
  records.forEach((record, i) => {
    equal("async to sync", asherah.decrypt(`at once ${i % 9}`, record), wanted[i]);
  });
  (await Promise.all(crossed)).forEach((data, i) => {
    equal("sync to async", data, wanted[i]);
  });
}

async function refusals(asherah) {
  const record = asherah.encrypt("mine", bytes(100));
  const decrypt = (partition, given) => () => asherah.decrypt(partition, given);
  await refused("another partition's record", /unable to decrypt/, decrypt("other", record));
  await refused("a tampered record", /authentication failed/, decrypt("mine", tampered(record)));
  await refused("half a record", /JSON/, decrypt("mine", record.slice(0, 40)));
  await refused("an empty record", /no key/, decrypt("mine", "{}"));
  await refused("no partition", /partition/, () => asherah.encrypt("", bytes(1)));
  await refused("a second setup", /set up already/, () => asherah.setup(CONFIG));
  if (asherah.decrypt_async) {
    await refused("a tampered record, later", /decrypt_async: /, () =>
      asherah.decrypt_async("mine", tampered(record)),
    );
  }
}

module.exports = async function asherah(cell, module) {
  if (cell.published || cell.glue) {
    throw new Skip("the published library gives no reasons, which this asks for");
  }
  const asherah = asherahOf(cell, module);
  await refused("use before setup", /not set up/, () => asherah.encrypt("p", bytes(1)));
  await refused("an unknown metastore", /"paper" is unknown/, () =>
    asherah.setup({ ...CONFIG, Metastore: "paper" }),
  );
  let before;
  for (const EnableSessionCaching of [true, false]) {
    asherah.setup({ ...CONFIG, EnableSessionCaching });
    if (!asherah.get_setup_status()) throw new Error("it is set up, and says it is not");
    if (before) {
      await refused("a record of keys that are gone", /./, () => asherah.decrypt("sizes", before));
    }
    await roundTrips(asherah);
    await manyPartitions(asherah);
    await atOnce(asherah);
    await refusals(asherah);
    before = asherah.encrypt("sizes", bytes(10));
    asherah.shutdown();
    await refused("a second shutdown", /not set up/, () => asherah.shutdown());
    if (asherah.get_setup_status()) throw new Error("it is shut down, and says it is set up");
    await refused("use after shutdown", /not set up/, () => asherah.decrypt("sizes", before));
    report({ at: "round" });
    await turn(50);
  }
  await refused("a master key of another length", /32 bytes/, () =>
    asherah.setup({ ...CONFIG, StaticMasterKey: "short" }),
  );
  asherah.setup({ ...CONFIG, StaticMasterKey: OTHER_KEY });
  await refused("a record of another master key", /./, () => asherah.decrypt("sizes", before));
  asherah.shutdown();
  await turn(50);
};
