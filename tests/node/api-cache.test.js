// A small cache changes no answer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, memoryStorage } from '../../build/js/index.js';
import { assertNearest, openIndex, randomVectors, toHalf, toItems } from './support/oracle.js';
import { Wrapped } from './support/stores.js';

describe('cacheBytes', () => {
  const items = toItems(randomVectors(3000, 16, 3)).map((item) => ({
    ...item,
    contents: item.contents.repeat(50),
  }));
  for (const cacheBytes of [0, 1, 65_536, 1_000_000]) {
    test(`of ${cacheBytes} gives the same answers, 30 queries at a time`, async () => {
      const { index } = await openIndex({ metric: 'cosine' }, { cacheBytes, minTrainVectors: 100 });
      await index.upsert({ items: items.slice(0, 1500) });
      await index.upsert({ items: items.slice(1500) });
      const queries = randomVectors(30, 16, 4);
      for (const nProbes of [undefined, 20]) {
        if (nProbes) await index.train({ nLists: 20, seed: 1, workers: 1 });
        const answers = await Promise.all(
          queries.map((queryVectors) =>
            index.query({ queryVectors, topK: 10, nProbes, include: ['distance', 'contents'] }),
          ),
        );
        answers.forEach(({ results }, q) => {
          assertNearest(results, items, queries[q], 'cosine', 10);
          for (const { id, contents } of results) {
            assert.equal(contents, items[Number(id.slice(2))].contents);
          }
        });
        const filtered = await index.query({
          queryVectors: queries[0],
          topK: 9,
          filters: { odd: true },
        });
        const odd = items.filter(({ metadata }) => metadata.odd);
        if (!nProbes) assertNearest(filtered.results, odd, queries[0], 'cosine', 9);
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
      assert.ok((await index.stats()).cachedBytes <= cacheBytes);
    });

    test(`of ${cacheBytes} ends a list of several segments when enough were found`, async () => {
      const { index } = await openIndex({}, { cacheBytes, minTrainVectors: 100 });
      await index.upsert({ items: items.slice(0, 1000) });
      await index.train({ nLists: 4, seed: 1, workers: 1 });
      for (let i = 1000; i < 1300; i += 60) await index.upsert({ items: items.slice(i, i + 60) });
      for (const topK of [5, 300, 600, 1000]) {
        const { results } = await index.query({ queryVectors: items[0].vector, topK, nProbes: 1 });
        assert.equal(results.length, topK);
      }
    });
  }
});

/** Adds up the bytes that are read. */
class Weighed extends Wrapped {
  bytes = 0;

  async read(key, range) {
    const found = await super.read(key, range);
    this.bytes += found?.length ?? 0;
    return found;
  }
}

describe('cacheBytes of an index whose rows have codes', () => {
  const DIMENSION = 64;
  const COUNT = 4000;
  const cases = ['euclidean', 'cosine', 'inner_product'].flatMap((metric, i) =>
    [0, 40_000, 250_000, 600_000, Infinity].map((cacheBytes) => (
      { metric, cacheBytes, precision: i === 1 ? 'float16' : 'float32' })));
  for (const { metric, cacheBytes, precision } of cases) {
    const limit = cacheBytes === Infinity ? {} : { cacheBytes };
    test(`of ${cacheBytes} changes no answer by ${metric}, ${precision}`, async () => {
      const { index } = await openIndex({ metric, precision }, { ...limit, minTrainVectors: 100 });
      const stored = randomVectors(COUNT, DIMENSION, 5).map((vector) =>
        precision === 'float16' ? vector.map(toHalf) : vector);
      const items = toItems(stored);
      await index.upsert({ items: items.slice(0, 2500) });
      await index.upsert({ items: items.slice(2500) });
      await index.train({ nLists: 16, seed: 1, workers: 1 });
      const queries = randomVectors(12, DIMENSION, 6);
      // The second time some blocks are in memory, the third time in one call.
      for (const round of [1, 2, 3]) {
        const ask = (queryVectors) => index.query({ queryVectors, topK: 10, nProbes: 16 });
        const answers = round < 3 ? await Promise.all(queries.map(ask))
          : (await ask(queries)).results.map((results) => ({ results }));
        answers.forEach(({ results }, q) =>
          assertNearest(results, items, queries[q], metric, 10));
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
      assert.ok((await index.stats()).cachedBytes <= cacheBytes);
      await index.close();
    });
  }

  test('has queries of one call share what is read, however little is kept of it', async () => {
    const storage = new Weighed(memoryStorage());
    const { index, indexKey } = await openIndex({}, { storage, minTrainVectors: 100 });
    await index.upsert({ items: toItems(randomVectors(COUNT, DIMENSION, 5)) });
    await index.train({ nLists: 16, seed: 1, workers: 1 });
    await index.close();
    const queries = randomVectors(100, DIMENSION, 7);
    for (const cacheBytes of [0, 50_000]) {
      const again = await new Client({ storage, cacheBytes })
        .loadIndex({ indexName: 'test', indexKey });
      const ask = async (queryVectors) =>
        (await again.query({ queryVectors, topK: 5, nProbes: 6 })).results;
      await ask(queries[0]);
      storage.bytes = 0;
      const apart = [];
      for (const query of queries) apart.push(await ask(query));
      const bytesApart = storage.bytes;
      storage.bytes = 0;
      assert.deepEqual(await ask(queries), apart);
      assert.ok(storage.bytes < bytesApart / 2, `${storage.bytes} of ${bytesApart}`);
      assert.ok((await again.stats()).cachedBytes <= cacheBytes);
      await again.close();
    }
  });

  test('reads rows alone where not all fits, and blocks that are visited again where it does', async () => {
    const storage = new Weighed(memoryStorage());
    const { index, indexKey } = await openIndex({}, { storage, minTrainVectors: 100 });
    await index.upsert({ items: toItems(randomVectors(COUNT, DIMENSION, 5)) });
    await index.train({ nLists: 8, seed: 1, workers: 1 });
    await index.close();
    const codes = COUNT * 70;
    const ask = { queryVectors: randomVectors(8, DIMENSION, 5)[7], topK: 1, nProbes: 7 };
    for (const [cacheBytes, blocks] of [[codes, false], [10_000_000, true], [undefined, true]]) {
      const limit = cacheBytes && { cacheBytes };
      const again = await new Client({ storage, ...limit })
        .loadIndex({ indexName: 'test', indexKey });
      const reads = [];
      for (let i = 0; i < 3; i++) {
        storage.bytes = 0;
        await again.query(ask);
        reads.push(storage.bytes);
      }
      // A row of 256 bytes in a chunk of 1 kB, and a few besides; a block is of 64 kB.
      assert.equal(reads[1] > 60_000, blocks, `${cacheBytes}: ${reads}`);
      if (blocks) assert.equal(reads[2], 0);
      await again.close();
    }
  });
});
