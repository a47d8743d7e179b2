// For tests that open an index a million times over.
import { Worker } from 'node:worker_threads';

/**
 * Gives a function that runs work with instances of the core that earlier work is done with, their
 * memory as when they were new: making them is most of what opening an index takes. To be called
 * one after another.
 */
export function reuseCores() {
  const { instantiate } = WebAssembly;
  const spare = [];
  const fresh = async (module) => {
    const core = { module };
    // That memory grew is told to whoever has the instance at the time.
    const env = { emscripten_notify_memory_growth: () => core.notify() };
    core.instance = await instantiate(module, { env });
    const bytes = new Uint8Array(core.instance.exports.memory.buffer);
    const used = bytes.findLastIndex((byte) => byte !== 0) + 1;
    return Object.assign(core, { size: bytes.length, first: bytes.slice(0, used) });
  };
  const take = async (module, { env }) => {
    const at = spare.findIndex((one) => one.module === module);
    const [core] = at < 0 ? [await fresh(module)] : spare.splice(at, 1);
    core.notify = () => env.emscripten_notify_memory_growth();
    const memory = new Uint8Array(core.instance.exports.memory.buffer);
    memory.fill(0, core.first.length);
    memory.set(core.first);
    return core;
  };
  /** One whose memory has grown is let go. */
  const isAsNew = ({ instance, size }) => instance.exports.memory.buffer.byteLength === size;
  return async (work) => {
    const lent = [];
    WebAssembly.instantiate = async (...args) => {
      const core = await take(...args);
      lent.push(core);
      return core.instance;
    };
    try {
      return await work();
    } finally {
      WebAssembly.instantiate = instantiate;
      spare.push(...lent.filter(isAsNew));
    }
  };
}

const WATCH = `
const fs = require('node:fs');
const { beats, patience } = require('node:worker_threads').workerData;
let last = -1;
setInterval(() => {
  const now = Atomics.load(beats, 0);
  if (now === last) {
    fs.writeSync(2, 'it hangs: case ' + now + '\\n');
    process.kill(process.pid, 'SIGKILL');
  }
  last = now;
}, patience);`;

/**
 * Kills this process when `notYet` has not been called for `patience` to twice that (ms): a timer
 * would not see a loop that never ends. (A promise that never settles ends the process by itself.)
 */
export function endIfItHangs(patience) {
  const beats = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(WATCH, { eval: true, workerData: { beats, patience } });
  worker.unref();
  return {
    notYet: () => Atomics.add(beats, 0, 1),
    end: () => worker.terminate(),
  };
}
