// Ending a call early: abort signals, and progress callbacks that throw.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { memoryStorage } from '../../build/js/index.js';
import { dump, ids, openIndex, randomVectors, toItems, gated } from './support/oracle.js';

describe('an abort signal', () => {
  const reason = new Error('the reason given');
  const items = toItems(randomVectors(60, 2, 1));
  const calls = {
    upsert: (index, signal) => index.upsert({ items, signal }),
    query: (index, signal) => index.query({ queryVectors: [0, 0], signal }),
    train: (index, signal) => index.train({ nLists: 4, signal }),
    compact: (index, signal) => index.compact({ signal }),
    export: (index, signal) => index.export({ to: memoryStorage(), signal }),
    import: (index, signal, client) =>
      client.import({ from: memoryStorage(), indexName: 'x', signal }),
  };

  for (const [name, call] of Object.entries(calls)) {
    test(`that aborted before ${name} rejects it with its reason and changes nothing`, async () => {
      const { index, storage, client } = await openIndex({}, { minTrainVectors: 10 });
      await index.upsert({ items: items.slice(30) });
      await index.delete({ ids: ['id31'] });
      const before = await dump(storage);
      await assert.rejects(call(index, AbortSignal.abort(reason), client), reason);
      await assert.rejects(call(index, AbortSignal.abort(), client), { name: 'AbortError' });
      assert.equal(await dump(storage), before);
      assert.equal(await index.count(), 29);
    });
  }

  test('stops an upsert between its segments, and what it wrote is removed', async () => {
    const control = new AbortController();
    let objects = 0;
    const storage = gated(async (key) => {
      if (key.includes('/object/') && ++objects === 2) control.abort(reason);
    });
    const { index } = await openIndex({}, { storage });
    const before = await dump(storage);
    const large = toItems(randomVectors(300, 2, 1)).map((item) => ({
      ...item,
      contents: 'x'.repeat(100_000),
    }));
    await assert.rejects(index.upsert({ items: large, signal: control.signal }), reason);
    assert.ok(objects >= 2);
    assert.equal(await dump(storage), before);
  });

  test('rejects a write that waits for its turn at once, and the write never begins', async () => {
    let open;
    const gate = new Promise((resolve) => {
      open = resolve;
    });
    let closed = false;
    const { index } = await openIndex({}, { storage: gated(() => (closed ? gate : undefined)) });
    closed = true;
    const control = new AbortController();
    const first = index.upsert({ ids: ['a'], vectors: [[1]] });
    const second = index.upsert({ ids: ['b'], vectors: [[2]], signal: control.signal });
    const third = index.upsert({ ids: ['c'], vectors: [[3]] });
    control.abort(reason);
    await assert.rejects(second, reason);
    open();
    const generations = [(await first).generation, (await third).generation];
    assert.deepEqual(generations, [2, 3]);
    assert.deepEqual((await index.listIds()).ids.sort(), ['a', 'c']);
  });

  test('stops training while it runs', async () => {
    for (const worker of [true, false]) {
      const { index, storage } = await openIndex({}, { minTrainVectors: 100, worker });
      await index.upsert({ items: toItems(randomVectors(20_000, 8, 1)) });
      const before = await dump(storage);
      const control = new AbortController();
      const onProgress = ({ fraction }) => {
        if (fraction > 0.2) control.abort(reason);
      };
      await assert.rejects(
        index.train({ nLists: 64, onProgress, signal: control.signal, workers: 1 }),
        reason,
      );
      assert.equal(await index.trainingState(), 'untrained');
      assert.equal(await dump(storage), before);
    }
  });

  test('that aborts after a call has no effect', async () => {
    const { index } = await openIndex();
    const control = new AbortController();
    await index.upsert({ items, signal: control.signal });
    control.abort(reason);
    assert.equal(await index.count(), 60);
  });
});

describe('onProgress', () => {
  const items = toItems(randomVectors(300, 2, 1));
  const run = {
    upsert: (index, onProgress) => index.upsert({ items: items.slice(0, 100), onProgress }),
    compact: (index, onProgress) => index.compact({ onProgress }),
    train: (index, onProgress) => index.train({ nLists: 4, workers: 1, onProgress }),
    export: (index, onProgress) => index.export({ to: memoryStorage(), onProgress }),
  };

  for (const [name, call] of Object.entries(run)) {
    test(`of ${name} names phases and never falls from 0 to 1`, async () => {
      const { index } = await openIndex({}, { minTrainVectors: 10 });
      await index.upsert({ items });
      await index.delete({ ids: ['id1'] });
      const told = [];
      await call(index, (progress) => told.push({ ...progress }));
      assert.ok(told.length > 0);
      const fractions = told.map(({ fraction }) => fraction);
      assert.deepEqual(
        fractions,
        [...fractions].sort((x, y) => x - y),
      );
      assert.ok(fractions[0] >= 0 && fractions.at(-1) === 1, `${fractions}`);
      assert.ok(told.every(({ phase }) => typeof phase === 'string' && phase !== ''));
    });

    test(`of ${name} that throws ends the call with that error and changes nothing`, async () => {
      const { index, storage } = await openIndex({}, { minTrainVectors: 10 });
      await index.upsert({ items });
      await index.delete({ ids: ['id1'] });
      const before = await dump(storage);
      const error = new Error('thrown by the callback');
      await assert.rejects(
        call(index, () => {
          throw error;
        }),
        error,
      );
      assert.equal(await dump(storage), before);
      assert.equal(await index.count(), 299);
    });

    test(`of ${name} that throws when all is done takes nothing back`, async () => {
      const { index } = await openIndex({}, { minTrainVectors: 10 });
      await index.upsert({ items });
      await call(index, ({ fraction }) => {
        if (fraction === 1) throw new Error('late');
      });
      await index.compact();
      const found = await index.get({ ids: ids(items) });
      assert.equal(found.length, 300);
    });
  }
});
