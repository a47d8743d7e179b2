// A key from a passphrase: the same one everywhere, and nothing left behind.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { argon2id } from '@noble/hashes/argon2.js';
import { Client, deriveKey, memoryStorage } from '../../build/js/index.js';
import { assertCode } from './support/oracle.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const salt = Uint8Array.from({ length: 16 }, (_, i) => i * 7);
const passphrase = 'orbit candle mosaic';
const least = { salt, passes: 2 };
const core = await readFile(new URL('../../build/js/sealvec.wasm', import.meta.url));

/** The core with a memory of at most 32 MB. */
function smallCore() {
  // The end of its memory section: at most 65,536 pages of 64 KiB, as LEB128.
  const [limit, pages] = [[0x80, 0x80, 0x04], [0x80, 0x84, 0x00]];
  const small = Uint8Array.from(core);
  for (let at = 8; at < small.length;) {
    const [id, start] = [small[at++], at];
    let [size, shift] = [0, 0];
    do size += (small[at] & 127) * 2 ** (7 * shift++); while (small[at++] & 128);
    if (id === 5) {
      assert.deepEqual([...small.subarray(at + size - 3, at + size)], limit, `at ${start}`);
      small.set(pages, at + size - 3);
      return small;
    }
    at += size;
  }
  throw new Error('no memory section');
}

/** Every wasm memory that is made in this thread while `body` runs. */
async function memoriesOf(body) {
  const { instantiate } = WebAssembly;
  const memories = [];
  WebAssembly.instantiate = async (...args) => {
    const instance = await instantiate(...args);
    memories.push(instance.exports.memory);
    return instance;
  };
  try {
    await body();
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  return memories;
}

/** The worker threads that are started while `body` runs. */
async function workersOf(body) {
  const workers = [];
  const meet = (worker) => workers.push(worker);
  process.on('worker', meet);
  try {
    await body(workers);
  } finally {
    process.off('worker', meet);
  }
  return workers;
}

const exitOf = (worker) => once(worker, 'exit', { signal: AbortSignal.timeout(5000) });

/** A worker as a caller makes one, and what is sent to it. */
function callersWorker(sent) {
  const thread = new Worker(new URL('../../build/js/training-worker-node.js', import.meta.url));
  return {
    postMessage: (message, transfer) => {
      thread.postMessage(message, transfer);
      sent.push(message);
    },
    terminate: () => thread.terminate(),
    addEventListener: (type, listener) => thread.on(type, (data) => listener({ data })),
  };
}

describe('deriveKey', () => {
  test('gives Argon2id of 64 MB and 3 passes, wherever it is computed', async () => {
    const expected = hex(argon2id(passphrase, salt, { t: 3, m: 65_536, p: 1, dkLen: 32 }));
    const sent = [];
    for (const worker of [undefined, true, false, () => callersWorker(sent)]) {
      const key = await deriveKey({ passphrase, salt, worker });
      assert.ok(key instanceof Uint8Array);
      assert.equal(hex(key), expected);
    }
    assert.equal(sent.length, 1);
    assert.equal(sent[0].passphrase.length, 0, 'the passphrase was moved');
  });

  test('gives another key for another passphrase, salt, memory or number of passes', async () => {
    const others = [
      {}, { passphrase: `${passphrase} ` }, { passphrase: passphrase.toUpperCase() },
      { salt: salt.map((byte, i) => byte ^ Number(i === 15)) }, { memory: 65 }, { passes: 3 },
    ];
    const keys = new Set();
    for (const other of others) {
      keys.add(hex(await deriveKey({ passphrase, ...least, worker: false, ...other })));
    }
    assert.equal(keys.size, others.length);
  });

  test('takes a passphrase in Unicode form NFKC', async () => {
    const same = ['caf\u00e9 fin', 'cafe\u0301 \ufb01n', '\uff43af\u00e9 fin'];
    const expected = hex(argon2id(same[0], salt, { t: 2, m: 65_536, p: 1, dkLen: 32 }));
    for (const each of same) {
      assert.equal(hex(await deriveKey({ passphrase: each, ...least, worker: false })), expected);
    }
    assert.notEqual(hex(await deriveKey({ passphrase: 'cafe fin', ...least })), expected);
  });

  test('copies the salt, which may change after the call', async () => {
    const own = Uint8Array.from(salt);
    const deriving = deriveKey({ passphrase, ...least, salt: own });
    own.fill(0);
    assert.equal(hex(await deriving), hex(await deriveKey({ passphrase, ...least })));
  });

  test('opens an index again', async () => {
    const client = new Client({ storage: memoryStorage() });
    const indexKey = await deriveKey({ passphrase, ...least });
    await (await client.createIndex({ indexName: 'a', indexKey })).close();
    await client.loadIndex({ indexName: 'a', indexKey: await deriveKey({ passphrase, ...least }) });
    const other = await deriveKey({ passphrase: `${passphrase}!`, ...least });
    await assertCode(client.loadIndex({ indexName: 'a', indexKey: other }), 'WRONG_KEY');
    await client.close();
  });

  test('leaves this thread free while a worker works, and ends the worker', async () => {
    let turns = 0;
    const turning = setInterval(() => turns++, 5);
    const workers = await workersOf(async (started) => {
      await deriveKey({ passphrase, salt, passes: 8 });
      clearInterval(turning);
      await exitOf(started[0]);
    });
    assert.equal(workers.length, 1);
    assert.ok(turns >= 10, `${turns} turns of this thread`);
  });

  test('starts no worker when told not to', async () => {
    const work = () => deriveKey({ passphrase, ...least, worker: false });
    assert.equal((await workersOf(work)).length, 0);
  });

  test('wipes all of its wasm memory, when it succeeds and when it fails', async () => {
    const memories = await memoriesOf(async () => {
      await deriveKey({ passphrase, ...least, worker: false });
      const failing = deriveKey({ passphrase, ...least, wasm: smallCore(), worker: false });
      await assertCode(failing, 'OUT_OF_MEMORY');
    });
    assert.equal(memories.length, 2);
    assert.ok(memories[0].buffer.byteLength > 64 * 2 ** 20);
    for (const { buffer } of memories) {
      assert.ok(new Float64Array(buffer).every((word) => Object.is(word, 0)));
    }
  });

  for (const worker of [true, false]) {
    const where = worker ? 'in a worker' : 'in this thread';
    test(`says OUT_OF_MEMORY where there is too little, ${where}`, async () => {
      const deriving = deriveKey({ passphrase, ...least, wasm: smallCore(), worker });
      await assertCode(deriving, 'OUT_OF_MEMORY', /^memory: 64 MB for a key: /);
    });

    test(`that was aborted before rejects with the reason, ${where}`, async () => {
      const reason = new Error('the reason given');
      const workers = await workersOf(() => assert.rejects(
        deriveKey({ passphrase, salt, worker, signal: AbortSignal.abort(reason) }), reason,
      ));
      assert.equal(workers.length, 0);
    });
  }

  test('rejects at once when it is aborted, and ends the worker', async () => {
    const control = new AbortController();
    const reason = new Error('the reason given');
    await workersOf(async (started) => {
      const { signal } = control;
      const deriving = deriveKey({ passphrase, salt, memory: 256, passes: 16, signal });
      deriving.catch(() => undefined);
      while (started.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      // By then it is under way; it would take seconds.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const at = performance.now();
      const exit = exitOf(started[0]);
      control.abort(reason);
      await assert.rejects(deriving, reason);
      assert.ok(performance.now() - at < 100, `${performance.now() - at} ms`);
      await exit;
      assert.ok(performance.now() - at < 1000, `${performance.now() - at} ms`);
    });
  });

  test('tells of a worker that cannot be made, or ends', async () => {
    const none = () => {
      throw new Error('no workers here');
    };
    await assert.rejects(deriveKey({ passphrase, salt, worker: none }), /no workers here/);
    const falling = new Set();
    const fall = (worker) => falling.add(worker) && worker.terminate();
    process.once('worker', fall);
    await assertCode(deriveKey({ passphrase, salt }), 'UNSUPPORTED', /worker failed.*ended/);
    assert.equal(falling.size, 1);
  });

  test('waits 15 s for a worker to begin, and then as long as it takes', async (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    for (const begins of [false, true]) {
      let hear;
      let ended = 0;
      const sent = [];
      const worker = () => ({
        postMessage: (message) => sent.push(message),
        terminate: () => ended++,
        addEventListener: (type, listener) => {
          if (type === 'message') hear = (data) => listener({ data });
        },
      });
      const deriving = deriveKey({ passphrase, salt, worker });
      const settled = deriving.catch((error) => error);
      while (sent.length === 0) await new Promise(setImmediate);
      if (begins) hear({ type: 'ready' });
      context.mock.timers.tick(60_000);
      const result = new Uint8Array(32);
      hear({ type: 'done', result });
      if (begins) assert.equal(await deriving, result);
      else assert.match(`${await settled}`, /did not start within 15 s.*worker: false/);
      assert.equal(ended, 1);
    }
  });

  test('shows no passphrase in an error, in whatever form it was given', async () => {
    const secret = '31415926535';
    const wrong = [
      secret, Number(secret), [secret],
      { passphrase: Number(secret), salt }, { passphrase: BigInt(secret), salt },
      { passphrase: [secret], salt }, { passphrase: new String(secret), salt },
      { passphrase: Buffer.from(secret), salt }, { passphrase: `${secret}\ud800`, salt },
      { passphrase: secret.repeat(1000), salt }, { passphrase: secret, salt: secret },
      { passphrase: secret, salt, memory: 1 }, { passphrase: secret, salt, wasm: smallCore() },
      { passphrase: secret, salt, wasm: smallCore(), worker: false },
    ];
    for (const options of wrong) {
      const error = await deriveKey(options).then(() => assert.fail('not refused'), (e) => e);
      assert.match(error.code, /INVALID_ARGUMENT|OUT_OF_MEMORY/);
      for (let each = error; each; each = each.cause) {
        const said = `${each} ${each.stack} ${JSON.stringify(each)}`;
        assert.ok(!said.includes(secret), said);
      }
    }
  });
});
