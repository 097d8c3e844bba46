// Times one way to use Asherah: RUNTIME timed.cjs '{"way": …, …}'. A pair is an encryption and a
// decryption of 1 KiB. Prints { perSecond, p99, cpu }: pairs a second, and the 99th percentile and
// processor time of a pair in microseconds.
"use strict";
const fs = require("node:fs");
const net = require("node:net");
const { spawn } = require("node:child_process");
const { openAsherah } = require("./ffi.cjs");
const rust = require("./rust.cjs");

const CONFIG = { ...require("./surface.cjs").CONFIG, EnableSessionCaching: true };
const DATA = Buffer.alloc(1024, 7);

const native = (asherah) => {
  asherah.setup(CONFIG);
  return asherah;
};

// Go's WebAssembly, loaded by Go's own script.
async function webAssembly({ wasm, wasmExec }) {
  require(wasmExec);
  const go = new globalThis.Go();
  const { instance } = await WebAssembly.instantiate(fs.readFileSync(wasm), go.importObject);
  go.run(instance);
  return globalThis.asherah(JSON.stringify(CONFIG));
}

// Processor time of another process, in hundredths of a second.
function ticksOf(pid) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

// A process of its own, over a Unix socket. It gets one request at a time, as the others do.
async function otherProcess({ server, socket }) {
  const words = [socket, JSON.stringify(CONFIG)];
  const child = spawn(server, words, { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`${server} ended with ${code}`)));
    child.stdout.once("data", resolve); // it says that clients can connect
  });
  const connection = net.connect(socket);
  let answered;
  let rest = Buffer.alloc(0);
  connection.on("data", (data) => {
    rest = rest.length ? Buffer.concat([rest, data]) : data;
    if (rest.length < 4 || rest.length < 4 + rest.readUInt32LE(0)) return;
    const [status, result] = [rest[4], rest.subarray(5)];
    rest = Buffer.alloc(0);
    answered(status ? Promise.reject(new Error(result.toString())) : result);
  });
  function ask(operation, partition, data) {
    const name = Buffer.from(partition);
    const head = Buffer.alloc(7);
    head.writeUInt32LE(3 + name.length + data.length, 0);
    head[4] = operation;
    head.writeUInt16LE(name.length, 5);
    const answer = new Promise((resolve) => (answered = resolve));
    connection.write(Buffer.concat([head, name, data]));
    return answer;
  }
  return {
    encrypt: (partition, data) => ask(1, partition, data),
    decrypt: (partition, record) => ask(2, partition, record),
    cpu: () => ticksOf(child.pid) * 10_000,
    close: () => child.stdin.end(),
  };
}

const later = ({ encrypt_async: encrypt, decrypt_async: decrypt }) => ({ encrypt, decrypt });

const WAYS = {
  "napi-sync": ({ addon }) => native(require(addon)),
  "napi-async": ({ addon }) => later(native(require(addon))),
  "rust-sync": ({ engine }) => native(rust.open(engine)),
  "rust-async": ({ engine }) => later(native(rust.open(engine))),
  ffi: ({ library }) => native(openAsherah(library)),
  wasm: webAssembly,
  process: otherProcess,
};
const SYNCHRONOUS = new Set(["napi-sync", "rust-sync", "ffi", "wasm"]);

async function main() {
  const given = JSON.parse(process.argv[2]);
  const asherah = await WAYS[given.way](given);
  const now = SYNCHRONOUS.has(given.way);
  function cpu() {
    const { user, system } = process.cpuUsage();
    return user + system + (asherah.cpu ? asherah.cpu() : 0);
  }
  async function pairs(count) {
    const times = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const started = performance.now();
      const record = now ? asherah.encrypt("p", DATA) : await asherah.encrypt("p", DATA);
      const data = now ? asherah.decrypt("p", record) : await asherah.decrypt("p", record);
      times[i] = performance.now() - started;
      if (!(data instanceof Uint8Array) || !DATA.equals(data)) throw new Error(`${data} came back`);
    }
    return times;
  }
  await pairs(given.pairs / 10);
  const before = cpu();
  const times = (await pairs(given.pairs)).sort();
  const each = (cpu() - before) / given.pairs;
  const taken = times.reduce((sum, time) => sum + time, 0);
  const p99 = times[Math.floor(times.length * 0.99)] * 1000;
  const said = { perSecond: (given.pairs / taken) * 1000, p99, cpu: each };
  fs.writeSync(1, `${JSON.stringify(said)}\n`);
  if (asherah.close) asherah.close();
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
