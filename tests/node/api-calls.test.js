// How calls behave beside each other: order, copies, closing, several handles.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, memoryStorage } from '../../build/js/index.js';
import {
  assertCode,
  assertNearest,
  openIndex,
  randomVectors,
  toItems,
  gated,
} from './support/oracle.js';

describe('calls that overlap on one handle', () => {
  test('write in the order they were called, whatever each still waits for', async () => {
    const embed = async (texts) => {
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
      return texts.map(() => [7, 7]);
    };
    const { index, indexKey } = await openIndex({ embed });
    const calls = [
      index.upsert({
        ids: ['a', 'b', 'c', 'd'],
        vectors: [
          [0, 0],
          [0, 1],
          [0, 2],
          [0, 3],
        ],
      }),
      index.upsert({ items: [{ id: 'a', contents: 'slow to embed' }] }),
      index.upsert({ ids: ['a'], vectors: [[1, 1]], indexKey }),
      index.delete({ ids: ['a', 'b'] }),
      index.upsert({ ids: ['b'], vectors: [[2, 2]] }),
      index.delete({ ids: ['c'], indexKey }),
      index.upsert({ ids: ['c'], vectors: [[3, 3]] }),
      index.compact(),
      index.delete({ ids: ['d'] }),
    ];
    const results = await Promise.all(calls);
    const generations = results.map(({ generation }) => generation);
    assert.deepEqual(
      generations,
      [...generations].sort((x, y) => x - y),
    );
    assert.deepEqual(
      results.map(({ count }) => count),
      [4, 1, 1, 2, 1, 1, 1, undefined, 1],
    );
    const items = await index.get({ ids: ['a', 'b', 'c', 'd'], include: ['vector'] });
    assert.deepEqual(items, [
      { id: 'b', vector: Float32Array.of(2, 2) },
      { id: 'c', vector: Float32Array.of(3, 3) },
    ]);
  });

  test('go on behind one that fails', async () => {
    const { index } = await openIndex({ dimension: 1 });
    const calls = [
      index.upsert({ ids: ['a'], vectors: [[1]] }),
      index.upsert({ ids: ['b'], vectors: [[1, 2]] }),
      index.upsert({ ids: ['c'], vectors: [[3]], signal: AbortSignal.abort() }),
      index.delete({ ids: ['a'] }),
    ];
    const states = (await Promise.allSettled(calls)).map(({ status }) => status);
    assert.deepEqual(states, ['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    assert.equal(await index.count(), 0);
  });

  test('answer 200 at a time, reads among writes, each from one commit', async () => {
    const { index } = await openIndex();
    const writes = [];
    const reads = [];
    for (let i = 0; i < 100; i++) {
      writes.push(
        index.upsert({
          ids: [`x${i}`, `y${i}`],
          vectors: [
            [i, 0],
            [0, i],
          ],
        }),
      );
      reads.push(index.query({ queryVectors: [50, 0], topK: 1000 }));
    }
    await Promise.all(writes);
    for (const { results } of await Promise.all(reads)) assert.equal(results.length % 2, 0);
    assert.equal(await index.count(), 200);
  });
});

describe('arrays of the caller', () => {
  test('may change as soon as a call has returned its promise', async () => {
    const { index, client, indexKey } = await openIndex({ dimension: 2 });
    const keyless = await client.loadIndex({ indexName: 'test' });
    for (const [n, handle] of [index, keyless].entries()) {
      const key = Uint8Array.from(indexKey);
      const rows = [
        [1, 2],
        [3, 4],
      ];
      const flat = Float32Array.of(5, 6, 7, 8);
      const contents = Uint8Array.of(1, 2, 3);
      const metadata = { list: [1] };
      const names = [`a${n}`, `b${n}`];
      const item = { id: `e${n}`, vector: Float32Array.of(9, 9), contents, metadata };
      const upserts = [
        handle.upsert({ ids: names, vectors: rows, indexKey: key }),
        handle.upsert({ ids: [`c${n}`, `d${n}`], vectors: flat, indexKey: key }),
        handle.upsert({ items: [item], indexKey: key }),
      ];
      for (const array of [...rows, flat, contents, item.vector, key]) array.fill(0);
      metadata.list.push(2);
      names.length = 0;
      Object.assign(item, { id: 'x' });
      await Promise.all(upserts);
      const query = Float32Array.of(9, 9);
      const rest = {
        indexKey: Uint8Array.from(indexKey),
        include: ['metadata'],
        filters: { list: 1 },
      };
      const answer = handle.query({ queryVectors: query, topK: 1, ...rest });
      query.fill(100);
      rest.indexKey.fill(0);
      rest.include.pop();
      rest.filters.list = 5;
      assert.equal((await answer).results[0].metadata.list.length, 1);
      const asked = [`a${n}`, `b${n}`, `c${n}`, `d${n}`, `e${n}`];
      const wanted = handle.get({ ids: asked, include: ['vector', 'contents'], indexKey });
      asked.length = 0;
      assert.deepEqual(
        (await wanted).map(({ vector }) => [...vector]),
        [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
          [9, 9],
        ],
      );
      assert.deepEqual((await wanted)[4].contents, Uint8Array.of(1, 2, 3));
    }
  });

  test('may change once an index is created or loaded', async () => {
    const { client, indexKey } = await openIndex();
    const key = Uint8Array.from(indexKey);
    const created = client.createIndex({ indexName: 'second', indexKey: key });
    key.fill(0);
    await created;
    await client.loadIndex({ indexName: 'second', indexKey });
  });
});

describe('close', () => {
  const calls = {
    upsert: (index) => index.upsert({ ids: ['a'], vectors: [[1]] }),
    query: (index) => index.query({ queryVectors: [1] }),
    get: (index) => index.get({ ids: ['a'] }),
    delete: (index) => index.delete({ ids: ['a'] }),
    listIds: (index) => index.listIds(),
    count: (index) => index.count(),
    stats: (index) => index.stats(),
    train: (index) => index.train(),
    isTrained: (index) => index.isTrained(),
    isTraining: (index) => index.isTraining(),
    trainingState: (index) => index.trainingState(),
    compact: (index) => index.compact(),
    export: (index) => index.export({ to: memoryStorage() }),
    deleteIndex: (index) => index.deleteIndex(),
  };

  test('of an index refuses every later call and may be repeated', async () => {
    const { index, client, indexKey } = await openIndex();
    await Promise.all([index.close(), index.close(), index[Symbol.asyncDispose]()]);
    await index.close();
    for (const call of Object.values(calls)) await assertCode(call(index), 'CLOSED', /test/);
    assert.equal(await (await client.loadIndex({ indexName: 'test', indexKey })).count(), 0);
  });

  test('of a client closes its indexes and refuses every later call', async () => {
    const { index, client, indexKey } = await openIndex();
    const closing = client.close();
    await Promise.all([closing, client.close(), client[Symbol.asyncDispose]()]);
    await client.close();
    await assertCode(index.count(), 'CLOSED');
    await assertCode(client.listIndexes(), 'CLOSED', /client/);
    await assertCode(client.createIndex({ indexName: 'x', indexKey }), 'CLOSED');
    await assertCode(client.loadIndex({ indexName: 'x', indexKey }), 'CLOSED');
    await assertCode(client.import({ from: memoryStorage(), indexName: 'x' }), 'CLOSED');
  });

  test('waits for the calls under way, and a second close waits as long', async () => {
    let open;
    const gate = new Promise((resolve) => {
      open = resolve;
    });
    let closed = false;
    const { index, client } = await openIndex(
      {},
      { storage: gated(() => (closed ? gate : undefined)) },
    );
    closed = true;
    const order = [];
    const write = index.upsert({ ids: ['a'], vectors: [[1]] }).then(() => order.push('write'));
    const first = client.close().then(() => order.push('close'));
    const second = client.close().then(() => order.push('close'));
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    assert.deepEqual(order, []);
    open();
    await Promise.all([write, first, second]);
    assert.deepEqual(order, ['write', 'close', 'close']);
  });

  test('ends training, which rejects with CLOSED', async () => {
    const { index } = await openIndex({}, { minTrainVectors: 100 });
    await index.upsert({ items: toItems(randomVectors(20_000, 8, 1)) });
    const training = index.train({ nLists: 64 });
    training.catch(() => undefined);
    while (!(await index.isTraining())) await null;
    await index.close();
    await assertCode(training, 'CLOSED', /training/);
  });

  test('of a client also closes what was being opened or made meanwhile', async () => {
    const storage = { ...gated(() => undefined), close: async () => undefined };
    const { client, indexKey } = await openIndex({}, { storage });
    const calls = [
      client.loadIndex({ indexName: 'test', indexKey }),
      client.loadIndex({ indexName: 'test' }),
      client.createIndex({ indexName: 'late', indexKey }),
    ];
    const closing = client.close();
    await Promise.all(calls.map((call) => assertCode(call, 'CLOSED', /client/)));
    await closing;
  });

  test('of an index ends a training that has only been called', async () => {
    const { index, client, indexKey } = await openIndex({}, { minTrainVectors: 10 });
    await index.upsert({ items: toItems(randomVectors(50, 2, 1)) });
    const keyless = await client.loadIndex({ indexName: 'test' });
    for (const handle of [keyless, index]) {
      const training = handle.train({ nLists: 4, indexKey });
      await Promise.all([assertCode(training, 'CLOSED'), handle.close()]);
    }
  });
});

describe('two handles on one index', () => {
  test("see each other's commits at once", async () => {
    const { index, client, indexKey } = await openIndex();
    const other = await client.loadIndex({ indexName: 'test', indexKey });
    const handles = [index, other];
    const model = new Map();
    for (let i = 0; i < 20; i++) {
      const [writer, reader] = i % 2 ? handles : [other, index];
      const items = toItems(randomVectors(3, 2, i), `w${i % 5}-`);
      await writer.upsert({ items });
      for (const item of items) model.set(item.id, item);
      if (i % 3 === 0) {
        await writer.delete({ ids: [items[0].id] });
        model.delete(items[0].id);
      }
      const { results } = await reader.query({ queryVectors: [0, 0] });
      assertNearest(results, [...model.values()], [0, 0], 'euclidean', 100);
      assert.equal(await reader.count(), model.size);
      assert.deepEqual((await reader.listIds()).ids.sort(), [...model.keys()].sort());
    }
  });

  test('of two clients that write at once lose nothing', async () => {
    const { index, storage, indexKey } = await openIndex({ dimension: 2 });
    const second = new Client({ storage });
    const other = await second.loadIndex({ indexName: 'test', indexKey });
    const writes = Array.from({ length: 60 }, (_, i) =>
      (i % 2 ? index : other).upsert({ ids: [`id${i}`], vectors: [[i, i]] }),
    );
    const generations = (await Promise.all(writes)).map(({ generation }) => generation);
    assert.equal(new Set(generations).size, 60);
    assert.deepEqual([await index.count(), await other.count()], [60, 60]);
  });
});
