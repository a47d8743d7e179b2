// Storage that runs full in the middle of writing.
import assert from 'node:assert/strict';
import { startBrowser } from './browser.js';

const DIMENSION = 128;
const MEGABYTE = 1 << 20;

let browser;
let page;

beforeEach(async () => {
  browser = await startBrowser();
  page = await browser.open();
});

afterEach(() => browser.close());

/**
 * Gives the origin so many bytes. Before its first write: Chromium remembers for a while how much
 * room it found. The limit lasts as long as the session.
 */
async function limit(bytes) {
  const session = await browser.context.newCDPSession(page);
  const quota = { origin: browser.origin, quotaSize: bytes };
  await session.send('Storage.overrideQuotaForOrigin', quota);
  return session;
}

test('a full quota stops a write with QUOTA_EXCEEDED, and the last commit is whole', async () => {
  const session = await limit(8 * MEGABYTE);
  await page.evaluate(async (dimension) => {
    Object.assign(globalThis, await openIndex('full', { create: { dimension } }));
    await index.upsert({ items: numbers(0, 1_000).map((number) => item(number, dimension)) });
  }, DIMENSION);
  const seen = await page.evaluate(async ([dimension, most]) => {
    const before = await index.stats();
    let acknowledged = 1_000;
    let refused;
    while (!refused && acknowledged < most) {
      const first = acknowledged;
      const items = numbers(first, first + 1_000).map((number) => item(number, dimension));
      const answer = await refusal(() => index.upsert({ items }));
      if (answer.code === 'none') acknowledged += 1_000;
      else refused = answer;
    }
    const train = await refusal(() => index.train({ nLists: 16 }));
    const { results } = await index.query({ queryVectors: [...vectorOf(77, dimension)], topK: 1 });
    const stats = await index.stats();
    await client.close();
    return { refused, acknowledged, before, stats, train, nearest: results[0].id };
  }, [DIMENSION, 100_000]);
  assert.equal(seen.refused.code, 'QUOTA_EXCEEDED');
  assert.match(seen.refused.message, /no more room \(.* usage of \d+ bytes and a quota of \d+\)/);
  assert.ok(seen.acknowledged > 1_000, 'some writes fitted in');
  assert.equal(seen.train.code, 'QUOTA_EXCEEDED');
  const { count, nLists } = seen.stats;
  assert.deepEqual([seen.nearest, count, nLists], ['n77', seen.acknowledged, 0]);

  const full = await browser.open();
  const read = await full.evaluate(async () => {
    const { index, client } = await openIndex('full');
    const found = await readNumbers(index);
    await client.close();
    return found;
  });
  await full.close();
  assert.ok(read.sound);
  assert.deepEqual(read.numbers, Array.from({ length: seen.acknowledged }, (_, i) => i));

  await session.detach();
  const after = await page.evaluate(async (dimension) => {
    const { index, client } = await openIndex('full');
    const { nLists } = await index.train({ nLists: 16 });
    await index.upsert({ items: [item(1_000_000, dimension)] });
    const read = await readNumbers(index);
    await client.close();
    return { nLists, sound: read.sound, count: read.numbers.length };
  }, DIMENSION);
  assert.deepEqual(after, { nLists: 16, sound: true, count: seen.acknowledged + 1 });
}, 120_000);

test('a full quota leaves the objects of a storage as they were', async () => {
  await limit(6 * MEGABYTE);
  const seen = await page.evaluate(async () => {
    const storage = sealvec.indexedDBStorage('brim');
    await storage.create('first', new Uint8Array(1 << 20).fill(1));
    return (await storage.list('')).length;
  });
  assert.equal(seen, 1);
  const after = await page.evaluate(async () => {
    const storage = sealvec.indexedDBStorage('brim');
    const refused = await refusal(() => storage.create('second', noise(8 << 20)));
    const keys = await storage.list('');
    const first = await storage.read('first');
    await storage.delete(['first']);
    const sound = first.length === 1 << 20 && first.every((byte) => byte === 1);
    return { refused, keys, sound, left: await storage.list('') };
  });
  assert.equal(after.refused.code, 'QUOTA_EXCEEDED');
  assert.deepEqual([after.keys, after.sound, after.left], [['first'], true, []]);
});

test('a quota error is one when only the abort tells, and when usage cannot be had', async () => {
  const refused = await page.evaluate(async () => {
    const storage = sealvec.indexedDBStorage('asked');
    await storage.list('');
    const undoEstimate = replace(StorageManager.prototype, 'estimate', () => async () => {
      throw new TypeError('no estimate');
    });
    const undoAdd = replace(IDBObjectStore.prototype, 'add', (original) => function (...args) {
      const request = original.apply(this, args);
      const { transaction } = request;
      const value = new DOMException('full', 'QuotaExceededError');
      request.addEventListener('success', () => {
        Object.defineProperty(transaction, 'error', { value, configurable: true });
        transaction.abort();
      });
      return request;
    });
    const first = await refusal(() => storage.create('a', new Uint8Array(5)));
    undoEstimate();
    const second = await refusal(() => storage.create('a', new Uint8Array(5)));
    undoAdd();
    return { first, second, keys: await storage.list('') };
  });
  assert.deepEqual([refused.first.code, refused.second.code], ['QUOTA_EXCEEDED', 'QUOTA_EXCEEDED']);
  assert.match(refused.first.message, /no more room$/);
  assert.match(refused.second.message, /usage of \d+ bytes and a quota of \d+/);
  assert.deepEqual(refused.keys, []);
});
