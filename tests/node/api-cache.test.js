// A small cache changes no answer.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assertNearest, openIndex, randomVectors, toItems } from './support/oracle.js';

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
