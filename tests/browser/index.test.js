// The way of one index through a page, on IndexedDB and with training in a Web Worker.
import assert from 'node:assert/strict';
import { deriveKey } from '../../dist/sealvec.js';
import { startBrowser } from './browser.js';

const ROWS = 12_000;
const DIMENSION = 16;

let browser;
let page;

beforeAll(async () => {
  browser = await startBrowser();
  page = await browser.open();
});

afterAll(() => browser.close());

/** Opens `notes` in the page under the right key, unless it is open. */
const reopen = () => page.evaluate(async ([n, dimension]) => {
  Object.assign(globalThis, { violations: [], rows: clustered(n, dimension) });
  addEventListener('securitypolicyviolation', (event) => violations.push(event.blockedURI));
  Object.assign(globalThis, await openIndex('whole-path'));
}, [ROWS, DIMENSION]);

test('a passphrase makes the key in a page that it makes in Node, and the page goes on', async () => {
  const options = { passphrase: 'orbit candle mosaic', passes: 8 };
  const { made, took, longest } = await page.evaluate(async (given) => {
    const [stop, at] = [watchFrames(), performance.now()];
    const salt = new Uint8Array(16).fill(7);
    const made = [...await sealvec.deriveKey({ ...given, salt })];
    return { made, took: performance.now() - at, longest: stop().at(-1) };
  }, options);
  const key = await deriveKey({ ...options, salt: new Uint8Array(16).fill(7), worker: false });
  assert.deepEqual(made, [...key]);
  assert.ok(longest < took / 2, `${longest} of ${took} ms without a frame`);
});

describe('an index in a page', () => {
  test('is made, filled, and searched exactly', async () => {
    const { count, exact, ids, wanted, filtered } = await page.evaluate(async ([n, dimension]) => {
      Object.assign(globalThis, { violations: [], rows: clustered(n, dimension) });
      addEventListener('securitypolicyviolation', (event) => violations.push(event.blockedURI));
      Object.assign(globalThis, await openIndex('whole-path', { create: { dimension } }));
      const ids = numbers(0, n).map((i) => `n${i}`);
      const metadata = ids.map((_, i) => ({ year: 2000 + (i % 26) }));
      const { count } = await index.upsert({ ids, vectors: rows, metadata });
      const query = [...rows.subarray(160, 176)];
      const found = await index.query({ queryVectors: query, topK: 10 });
      const filtered = await index.query({
        queryVectors: query, filters: { year: { $gt: 2024 } }, topK: 5, include: ['metadata'],
      });
      return {
        count, exact: found.exact, ids: found.results.map(({ id }) => id),
        wanted: nearest(rows, query, 10).map((i) => `n${i}`),
        filtered: filtered.results.map(({ metadata: { year } }) => year),
      };
    }, [ROWS, DIMENSION]);
    assert.equal(count, ROWS);
    assert.equal(exact, true);
    assert.deepEqual(ids, wanted);
    assert.deepEqual(filtered, [2025, 2025, 2025, 2025, 2025]);
  });

  test('stops training when told to, at once and without a trace', async () => {
    const stopped = await page.evaluate(async () => {
      const before = await index.stats();
      const controller = new AbortController();
      let at = 0;
      const onProgress = ({ phase }) => {
        if (phase !== 'cluster' || at) return;
        at = performance.now();
        controller.abort(new Error('enough'));
      };
      const { signal } = controller;
      const error = await refusal(() => index.train({ nLists: 32, onProgress, signal }));
      const after = performance.now() - at;
      const { generation, nLists, trainingState } = await index.stats();
      return { error, after, same: generation === before.generation, nLists, trainingState };
    });
    assert.equal(stopped.error.message, 'enough');
    assert.ok(stopped.after < 100, `${stopped.after} ms`);
    assert.deepEqual([stopped.same, stopped.nLists, stopped.trainingState], [true, 0, 'untrained']);
    while (page.workers().length > 0) await page.waitForTimeout(10);
  });

  test('trains in a worker, tells how far it is, and is searched by lists', async () => {
    const workers = [];
    page.on('worker', (worker) => workers.push(worker.url()));
    const trained = await page.evaluate(async () => {
      const fractions = [];
      const onProgress = ({ fraction }) => fractions.push(fraction);
      const { nLists } = await index.train({ nLists: 32, onProgress });
      const queryVectors = numbers(0, 50).map((i) => [...rows.subarray(i * 1600, i * 1600 + 16)]);
      const exact = await index.query({ queryVectors, topK: 10, nProbes: 32 });
      const found = await index.query({ queryVectors, topK: 10 });
      let hits = 0;
      for (const [i, results] of found.results.entries()) {
        const wanted = new Set(exact.results[i].map(({ id }) => id));
        hits += results.filter(({ id }) => wanted.has(id)).length;
      }
      const { exact: all, rowsScanned } = found;
      return { nLists, fractions, recall: hits / 500, all, rowsScanned };
    });
    assert.equal(trained.nLists, 32);
    assert.ok(trained.fractions.length > 5);
    assert.equal(trained.fractions.at(-1), 1);
    assert.ok(trained.fractions.every((fraction, i, all) => i === 0 || fraction >= all[i - 1]));
    assert.ok(trained.recall >= 0.95, String(trained.recall));
    assert.ok(!trained.all && trained.rowsScanned < 50 * ROWS * 0.7, String(trained.rowsScanned));
    assert.deepEqual([...new Set(workers)], [`${browser.origin}/dist/training-worker.js`]);
  });

  test('is there after a reload, trained, and takes more', async () => {
    await page.reload();
    await page.waitForFunction(() => globalThis.ready);
    await reopen();
    const seen = await page.evaluate(async () => {
      const { nLists, count } = await index.stats();
      await index.upsert({ items: [{ id: 'late', vector: rows.slice(0, 16), contents: 'late' }] });
      const { results } = await index.query({ queryVectors: [...rows.subarray(0, 16)], topK: 2 });
      const [{ contents }] = await index.get({ ids: ['late'] });
      await index.delete({ ids: ['late'] });
      const ids = results.map(({ id }) => id).sort();
      return { nLists, count, ids, contents, left: await index.count() };
    });
    const ids = ['late', 'n0'];
    assert.deepEqual(seen, { nLists: 32, count: ROWS, ids, contents: 'late', left: ROWS });
  });

  test('does not open under another key', async () => {
    const refused = await page.evaluate(() =>
      refusal(() => openIndex('whole-path', { indexKey: key(2) })));
    assert.deepEqual([refused.code, refused.own], ['WRONG_KEY', true]);
  });

  test('needs no isolation, and breaks no rule of the policy', async () => {
    const host = await page.evaluate(() =>
      ({ violations, isolated: crossOriginIsolated, shared: typeof SharedArrayBuffer }));
    assert.deepEqual(host, { violations: [], isolated: false, shared: 'undefined' });
  });

  test('reports a record that was changed, and answers nothing from it', async () => {
    const refused = await page.evaluate(async () => {
      await client.close();
      const db = await idb('whole-path');
      const store = () => db.transaction('objects', 'readwrite').objectStore('objects');
      const parts = () => db.transaction('parts', 'readwrite').objectStore('parts');
      const keys = (await finished(store().getAllKeys())).filter((key) => key.includes('/object/'));
      for (const key of keys) {
        const record = await finished(store().get(key));
        const bytes = record.bytes ?? await finished(parts().get([key, 0]));
        new Uint8Array(bytes)[Math.floor(bytes.byteLength / 2)] ^= 1;
        await finished(record.bytes ? store().put(record, key) : parts().put(bytes, [key, 0]));
      }
      db.close();
      return refusal(async () => {
        const opened = await openIndex('whole-path');
        await opened.index.query({ queryVectors: [...rows.subarray(0, 16)], nProbes: 32 });
      });
    });
    assert.deepEqual([refused.code, refused.own], ['CORRUPTED', true]);
  });

  test('that the browser has evicted is NOT_FOUND, and never made anew', async () => {
    await page.evaluate(async () => {
      Object.assign(globalThis, await openIndex('evicted', { create: { dimension: 4 } }));
      await index.upsert({ items: [item(1, 4)] });
    });
    const session = await browser.context.newCDPSession(page);
    const data = { origin: browser.origin, storageTypes: 'indexeddb' };
    await session.send('Storage.clearDataForOrigin', data);
    const refused = await page.evaluate(async () => {
      // Reads may answer from memory for a quarter of a second.
      await new Promise((resolve) => { setTimeout(resolve, 300); });
      const upsert = await refusal(() => index.upsert({ items: [item(2, 4)] }));
      const query = await refusal(() => index.query({ queryVectors: [0, 0, 0, 0] }));
      await client.close();
      const load = await refusal(() => openIndex('evicted'));
      const names = await new sealvec.Client({ storage: 'evicted' }).listIndexes();
      const keys = await sealvec.indexedDBStorage('evicted').list('');
      return { codes: [upsert, query, load].map(({ code }) => code), names, keys };
    });
    assert.deepEqual(refused, { codes: Array(3).fill('NOT_FOUND'), names: [], keys: [] });
  });
});

describe('training in a page', () => {
  /** Trains 500 rows with this kind of worker. */
  const train = (kind) => page.evaluate(async (name) => {
    const start = (file) => new Worker(file, { type: 'module' });
    const worker = {
      standard: true,
      none: false,
      own: () => start('/dist/training-worker.js'),
      silent: () => start('/dist/storage-suite.js'),
    }[name];
    const database = `train-${crypto.randomUUID()}`;
    const { index } = await openIndex(database, { create: { dimension: 4 }, worker });
    await index.upsert({ ids: numbers(0, 500).map(String), vectors: clustered(500, 4) });
    const refused = await refusal(() => index.train({ nLists: 8 }));
    const { nLists } = await index.stats();
    return { ...refused, nLists };
  }, kind);

  test('runs in this thread with worker: false', async () => {
    const seen = [];
    const listen = (worker) => seen.push(worker.url());
    page.on('worker', listen);
    const { code, nLists } = await train('none');
    page.off('worker', listen);
    assert.deepEqual([code, nLists, seen], ['none', 8, []]);
  });

  test('runs in a worker that the caller makes', async () => {
    const { code, nLists } = await train('own');
    assert.deepEqual([code, nLists], ['none', 8]);
  });

  test('says what to do when the worker does not answer', async () => {
    await page.evaluate(() => {
      const hurry = (original) => (act, ms) => original(act, ms / 50);
      globalThis.undo = replace(globalThis, 'setTimeout', hurry);
    });
    const { code, message, nLists } = await train('silent');
    await page.evaluate(() => undo());
    assert.deepEqual([code, nLists], ['UNSUPPORTED', 0]);
    assert.match(message, /did not start within 15 s; pass worker: \(\) => new.*worker: false/);
  });

  test('says what to do where there are no workers', async () => {
    await page.evaluate(() => {
      globalThis.undo = replace(globalThis, 'Worker', () => undefined);
    });
    const { code, message, nLists } = await train('standard');
    await page.evaluate(() => undo());
    assert.deepEqual([code, nLists], ['UNSUPPORTED', 0]);
    assert.match(message, /cannot be made here.*worker: \(\) => new Worker.*worker: false/);
  });
});

describe('the files beside the library', () => {
  const FIXES = /Either serve sealvec\.wasm.*or pass the URL.*wasm option.*Vite: optimizeDeps/;

  test('are named when a page comes in their place', async () => {
    const refused = await page.evaluate(async () => {
      const { Client, memoryStorage, generateKey } = await import('/copy/browser.js');
      const make = (options) =>
        new Client({ storage: memoryStorage(), minTrainVectors: 10, ...options })
          .createIndex({ indexName: 'a', indexKey: generateKey(), dimension: 4 });
      const wasm = await refusal(() => make({}));
      const index = await make({ wasm: '/dist/sealvec.wasm' });
      await index.upsert({ ids: numbers(0, 50).map(String), vectors: clustered(50, 4) });
      return { wasm, worker: await refusal(() => index.train({ nLists: 2 })) };
    });
    assert.equal(refused.wasm.code, 'UNSUPPORTED');
    const { message } = refused.wasm;
    assert.ok(message.startsWith(`wasm: ${browser.origin}/copy/sealvec.wasm answered `), message);
    assert.match(message, /status 200, content-type text\/html, which is not WebAssembly/);
    assert.match(message, FIXES);
    assert.equal(refused.worker.code, 'UNSUPPORTED');
    assert.match(refused.worker.message, /worker: false/);
  });

  test('are named when they are missing or out of reach', async () => {
    const refused = await page.evaluate(() => Promise.all(
      ['/missing/sealvec.wasm', 'http://127.0.0.1:1/sealvec.wasm'].map((wasm) => refusal(() =>
        new sealvec.Client({ storage: sealvec.memoryStorage(), wasm })
          .createIndex({ indexName: 'a', indexKey: key(), dimension: 4 })))));
    const [missing, away] = refused;
    assert.match(missing.message, /\/missing\/sealvec\.wasm answered with status 404, content-/);
    assert.match(away.message, /127\.0\.0\.1:1\/sealvec\.wasm could not be fetched \(TypeError/);
    for (const { code, message } of refused) {
      assert.equal(code, 'UNSUPPORTED');
      assert.match(message, FIXES);
    }
  });

  test('may be given as bytes, a module, a response or a URL', async () => {
    const found = await page.evaluate(async () => {
      const url = new URL('/dist/sealvec.wasm', location.href);
      const bytes = await (await fetch(url)).arrayBuffer();
      const sources = [
        bytes, new Uint8Array(bytes), await WebAssembly.compile(bytes), fetch(url),
        await fetch(url), url, url.href,
      ];
      return Promise.all(sources.map(async (wasm) => {
        const client = new sealvec.Client({ storage: sealvec.memoryStorage(), wasm });
        const index = await client.createIndex({ indexName: 'a', indexKey: key(), dimension: 2 });
        await index.upsert({ items: [{ id: 'x', vector: [0, 1] }] });
        return (await index.query({ queryVectors: [0, 1] })).results[0].id;
      }));
    });
    assert.deepEqual(found, Array(7).fill('x'));
  });
});
