import assert from 'node:assert/strict';
import { storageCases } from '../../build/js/storage/suite-cases.js';
import { indexedDBStorage as inNode } from '../../dist/sealvec.js';
import { startBrowser } from './browser.js';

let browser;
let page;

beforeAll(async () => {
  browser = await startBrowser();
});

beforeEach(async () => {
  page = await browser.open();
});

afterEach(() => page.close());

afterAll(() => browser.close());

describe('IndexedDB storage', () => {
  test.each(storageCases.map(([name]) => name))('%s', (name) =>
    page.evaluate((test) => suite.get(test)(), name));
});

describe('IndexedDB storage and what it writes', () => {
  test('cuts an object into small values, all in one strict transaction', async () => {
    const seen = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('cut');
      await storage.list('');
      const transactions = [];
      const values = [];
      replace(IDBDatabase.prototype, 'transaction', (original) => function (...args) {
        transactions.push(args[1] === 'readwrite' ? args[2].durability : args[1]);
        return original.apply(this, args);
      });
      for (const name of ['add', 'put']) {
        replace(IDBObjectStore.prototype, name, (original) => function (value, at) {
          const bytes = value.bytes ?? value;
          // What is stored of a view is all of its buffer.
          values.push((bytes.buffer ?? bytes).byteLength ?? 0);
          return original.call(this, value, at);
        });
      }
      await storage.create('large', new Uint8Array(9 << 20));
      return { transactions, largest: Math.max(...values), total: values.reduce((a, b) => a + b) };
    });
    assert.deepEqual(seen.transactions, ['strict']);
    assert.ok(seen.largest <= 8 << 20 && seen.largest <= 1 << 20, String(seen.largest));
    assert.equal(seen.total, 9 << 20);
  });

  test('is relaxed only when asked', async () => {
    const modes = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('relaxed', { durability: 'relaxed' });
      await storage.list('');
      const seen = [];
      replace(IDBDatabase.prototype, 'transaction', (original) => function (...args) {
        seen.push(args[2]?.durability);
        return original.apply(this, args);
      });
      await storage.create('a', new Uint8Array(1));
      await storage.delete(['a']);
      return seen;
    });
    assert.deepEqual(modes, ['relaxed', 'relaxed']);
  });

  test('reads only the parts that a range touches', async () => {
    const read = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('ranges');
      await storage.create('large', new Uint8Array(9 << 20));
      const bytes = [];
      replace(IDBRequest.prototype, 'addEventListener', (original) => function (type, listener) {
        if (type === 'success') {
          original.call(this, type, () => bytes.push(this.result?.byteLength ?? 0));
        }
        original.call(this, type, listener);
      });
      const sums = [];
      for (const [offset, length] of [[0, 1], [5_000_000, 65_536], [262_143, 2], [9 << 20, 5]]) {
        bytes.length = 0;
        const got = await storage.read('large', { offset, length });
        sums.push([got.length, bytes.reduce((a, b) => a + b, 0)]);
      }
      return sums;
    });
    assert.deepEqual(read.map(([length]) => length), [1, 65_536, 2, 0]);
    for (const [length, fetched] of read) assert.ok(fetched <= length + (512 << 10), `${fetched}`);
    assert.equal(read[3][1], 0);
  });

  test('tells an object that lost a part from a sound one', async () => {
    const refused = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('damaged');
      await storage.create('large', new Uint8Array(1 << 20));
      const db = await idb('damaged');
      const parts = db.transaction('parts', 'readwrite').objectStore('parts');
      await finished(parts.delete(['large', 2]));
      db.close();
      return [
        await refusal(() => storage.read('large')),
        (await storage.read('large', { offset: 0, length: 10 })).length,
      ];
    });
    assert.equal(refused[0].code, 'CORRUPTED');
    assert.match(refused[0].message, /part 2 of object large/);
    assert.equal(refused[1], 10);
  });

  test('lists keys up to the last that begin with a prefix', async () => {
    const keys = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('prefix');
      for (const key of ['a', 'a/zzz', 'az', 'azzz', 'b']) {
        await storage.create(key, new Uint8Array(1));
      }
      return Promise.all(['a/', 'az', 'a'].map((prefix) => storage.list(prefix)));
    });
    assert.deepEqual(keys, [['a/zzz'], ['az', 'azzz'], ['a', 'a/zzz', 'az', 'azzz']]);
  });

  test('leaves nothing of an object behind when it is deleted', async () => {
    const left = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('empty');
      await storage.create('a', new Uint8Array(1 << 20));
      await storage.create('ab', new Uint8Array(1 << 20));
      await storage.delete(['a']);
      const db = await idb('empty');
      const keys = await finished(db.transaction('parts').objectStore('parts').getAllKeys());
      db.close();
      return keys.map(([key]) => key);
    });
    assert.deepEqual(left, ['ab', 'ab', 'ab', 'ab']);
  });
});

describe('IndexedDB storage and its options', () => {
  test('asks for persistence once, and only when told to', async () => {
    const asked = await page.evaluate(async () => {
      let count = 0;
      replace(StorageManager.prototype, 'persist', () => async () => {
        count++;
        throw new Error('refused');
      });
      const counts = [];
      for (const persist of [undefined, false, true]) {
        const storage = sealvec.indexedDBStorage('persist', { persist });
        await storage.list('');
        await deleteDatabase('persist');
        await storage.list('');
        counts.push(count);
      }
      return counts;
    });
    assert.deepEqual(asked, [0, 0, 1]);
  });

  test('refuses wrong arguments by name', async () => {
    const wrong = {
      name: [''], options: ['a', null], 'options.persist': ['a', { persist: 1 }],
      'options.durability': ['a', { durability: 'loose' }], 'options.x': ['a', { x: 1 }],
    };
    const refused = await page.evaluate((all) => Promise.all(all.map((args) =>
      refusal(async () => sealvec.indexedDBStorage(...args)))), Object.values(wrong));
    for (const { code } of refused) assert.equal(code, 'INVALID_ARGUMENT');
    assert.deepEqual(refused.map(({ message }) => message.split(':')[0]), Object.keys(wrong));
  });

  test('is there in Node, and says when used that Node has no IndexedDB', async () => {
    const storage = inNode('vectors');
    for (const call of [() => storage.list(''), () => storage.create('a', new Uint8Array(1))]) {
      await assert.rejects(call, { code: 'UNSUPPORTED', message: /no IndexedDB here/ });
    }
    await storage.close();
    await assert.rejects(() => storage.list(''), { code: 'CLOSED' });
  });
});
