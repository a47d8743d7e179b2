// Connections that browsers drop, and databases that others use too.
import assert from 'node:assert/strict';
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

describe('IndexedDB storage and lost connections', () => {
  const CLOSING = ['InvalidStateError', 'The database connection is closing.'];
  const LOST = ['UnknownError', 'Connection to Indexed Database server lost. Refresh the page'];

  test.each([CLOSING, LOST])('opens again and tries once more after %s', async (name, message) => {
    const seen = await page.evaluate(async ([errorName, text]) => {
      const storage = sealvec.indexedDBStorage(`lost-${errorName}`);
      await storage.create('a', new Uint8Array([1]));
      let left = 1;
      replace(IDBDatabase.prototype, 'transaction', (original) => function (...args) {
        if (left-- > 0) throw new DOMException(text, errorName);
        return original.apply(this, args);
      });
      let opened = 0;
      replace(IDBFactory.prototype, 'open', (original) => function (...args) {
        opened++;
        return original.apply(this, args);
      });
      const calls = {
        read: () => storage.read('a'),
        create: () => storage.create('b', new Uint8Array([2])),
        list: () => storage.list(''),
        delete: () => storage.delete(['b']),
      };
      const answers = {};
      for (const [call, act] of Object.entries(calls)) {
        left = 1;
        const answer = await act();
        answers[call] = answer instanceof Uint8Array ? [...answer] : answer;
      }
      left = 2;
      return { answers, opened, twice: await refusal(() => storage.read('a')) };
    }, [name, message]);
    const answers = { read: [1], create: true, list: ['a', 'b'], delete: undefined };
    assert.deepEqual(seen.answers, answers);
    assert.equal(seen.opened, 4);
    assert.equal(seen.twice.code, 'STORAGE');
    assert.ok(seen.twice.message.includes(message), seen.twice.message);
  });

  test('opens again when opening fails once', async () => {
    const text = 'Internal error opening backing store for indexedDB.open.';
    const answers = await page.evaluate(async (message) => {
      let left = 1;
      replace(IDBFactory.prototype, 'open', (original) => function (...args) {
        if (left-- > 0) throw new DOMException(message, 'UnknownError');
        return original.apply(this, args);
      });
      const storage = sealvec.indexedDBStorage('backing');
      const first = await storage.list('');
      await storage.close();
      left = 2;
      const again = sealvec.indexedDBStorage('backing');
      return [first, await refusal(() => again.list('')), await again.list('')];
    }, text);
    assert.deepEqual([answers[0], answers[1].code, answers[2]], [[], 'STORAGE', []]);
  });

  test('knows its own object when only the acknowledgement of a create was lost', async () => {
    const answers = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('acknowledged');
      const bytes = (fill) => new Uint8Array(700_000).fill(fill);
      await storage.create('taken', bytes(1));
      let lies = 0;
      let drops = 0;
      replace(IDBDatabase.prototype, 'transaction', (original) => function (...args) {
        if (drops-- > 0) throw new DOMException('lost', 'UnknownError');
        return original.apply(this, args);
      });
      // A transaction that commits and says that it was aborted.
      const lie = (original) => function (type, listener) {
        original.call(this, type, (event) => {
          if (type !== 'complete' || lies-- <= 0) return listener(event);
          const value = new DOMException('lost', 'UnknownError');
          Object.defineProperty(this, 'error', { value });
          return this.dispatchEvent(new Event('abort'));
        });
      };
      replace(IDBTransaction.prototype, 'addEventListener', lie);
      lies = 1;
      const mine = await storage.create('mine', bytes(2));
      lies = 1;
      const again = await storage.create('mine', bytes(2));
      lies = 0;
      drops = 1;
      const taken = await storage.create('taken', bytes(3));
      const contents = await Promise.all(['mine', 'taken'].map((key) => storage.read(key)));
      return { mine, again, taken, contents: contents.map(([byte]) => byte) };
    });
    assert.deepEqual(answers, { mine: true, again: false, taken: false, contents: [2, 1] });
  });

  test('resolves create only when the transaction is complete', async () => {
    const seen = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('complete');
      await storage.list('');
      let aborts = 1;
      replace(IDBObjectStore.prototype, 'add', (original) => function (...args) {
        const request = original.apply(this, args);
        const { transaction } = request;
        // Aborted by the browser once every request has succeeded.
        if (aborts-- > 0) request.addEventListener('success', () => transaction.abort());
        return request;
      });
      const once = await storage.create('a', new Uint8Array(5));
      aborts = 2;
      const refused = await refusal(() => storage.create('b', new Uint8Array(5)));
      return { once, refused, keys: await storage.list('') };
    });
    assert.equal(seen.once, true);
    assert.equal(seen.refused.code, 'STORAGE');
    assert.deepEqual(seen.keys, ['a']);
  });

  test('commits nothing of an object when handing it over fails halfway', async () => {
    const seen = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('halfway');
      await storage.list('');
      let left = 3;
      const undo = replace(IDBObjectStore.prototype, 'put', (original) => function (...args) {
        if (left-- === 0) throw new RangeError('no memory');
        return original.apply(this, args);
      });
      const refused = await refusal(() => storage.create('a', new Uint8Array(2 << 20)));
      undo();
      return { refused, keys: await storage.list(''), there: await storage.read('a') };
    });
    assert.equal(seen.refused.code, 'STORAGE');
    assert.deepEqual([seen.keys, seen.there], [[], undefined]);
  });
});

describe('IndexedDB storage and other users of the database', () => {
  test('gives way to a tab that deletes the database, and reads as empty afterwards', async () => {
    await page.evaluate(async () => {
      globalThis.storage = sealvec.indexedDBStorage('gone');
      await storage.create('a', new Uint8Array(1));
    });
    const other = await browser.open();
    await other.evaluate(() => deleteDatabase('gone'));
    await other.close();
    const after = await page.evaluate(() => Promise.all([storage.list(''), storage.read('a')]));
    assert.deepEqual(after, [[], undefined]);
  });

  test('gives way to a newer version, and then says so', async () => {
    const refused = await page.evaluate(async () => {
      const storage = sealvec.indexedDBStorage('newer');
      await storage.create('a', new Uint8Array(1));
      (await idb('newer', 2)).close();
      return refusal(() => storage.read('a'));
    });
    assert.equal(refused.code, 'UNSUPPORTED');
    assert.match(refused.message, /newer version of SealVec, or by something else; reload/);
  });

  test('leaves a database of something else alone', async () => {
    const refused = await page.evaluate(async () => {
      (await idb('foreign', 1, (db) => db.createObjectStore('mail'))).close();
      return refusal(() => sealvec.indexedDBStorage('foreign').create('a', new Uint8Array(1)));
    });
    assert.equal(refused.code, 'UNSUPPORTED');
  });

  test('fails instead of hanging while another tab keeps a deletion waiting', async () => {
    const refused = await page.evaluate(async () => {
      const deaf = await idb('held');
      indexedDB.deleteDatabase('held');
      replace(globalThis, 'setTimeout', (original) => (act, ms) => original(act, ms / 50));
      const storage = sealvec.indexedDBStorage('held');
      const first = await refusal(() => storage.list(''));
      deaf.close();
      return { first, then: await storage.list('') };
    });
    assert.equal(refused.first.code, 'STORAGE');
    assert.match(refused.first.message, /'held' cannot be opened: no answer within 15 s.*close/);
    assert.deepEqual(refused.then, []);
  });

  test('fails instead of waiting for a tab that uses an older version', async () => {
    const refused = await page.evaluate(() => {
      replace(IDBFactory.prototype, 'open', (original) => function (...args) {
        const request = original.apply(this, args);
        queueMicrotask(() => request.dispatchEvent(new IDBVersionChangeEvent('blocked')));
        return request;
      });
      return refusal(() => sealvec.indexedDBStorage('older').list(''));
    });
    assert.equal(refused.code, 'STORAGE');
    assert.match(refused.message, /older version of it: close or reload that tab/);
  });
});
