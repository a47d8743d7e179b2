// Random sequences of calls against a Map, which is all an index is but for speed and secrecy.
// SEED=n repeats a run, RUNS=n makes it longer.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { assertCode, assertNearest, DISTANCES, toHalf } from './support/oracle.js';

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
const numRuns = Number(process.env.RUNS ?? 300);
const MIN_TRAIN = 6;

const id = fc
  .constantFrom(...'abcdefghijklmnopqrst'.split(''), '', 'é', '__proto__')
  .map((name) => `id ${name}`);
// Few values, so that many vectors are equal and distances tie.
const component = fc.oneof(
  fc.integer({ min: -3, max: 3 }),
  fc.double({ min: -100, max: 100, noNaN: true }),
);
const contents = fc.option(
  fc.oneof(fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 9 })),
  { nil: undefined },
);

const config = fc.record({
  metric: fc.constantFrom(...Object.keys(DISTANCES)),
  precision: fc.constantFrom('float32', 'float16'),
  dimension: fc.integer({ min: 1, max: 5 }),
  cacheBytes: fc.constantFrom(undefined, 0, 4096),
});

const operations = (dimension) => {
  const vector = fc.array(component, { minLength: dimension, maxLength: dimension });
  const item = fc.record({ id, vector, contents, n: fc.integer({ min: 0, max: 4 }) });
  const items = (max) =>
    fc.uniqueArray(item, { selector: (x) => x.id, minLength: 1, maxLength: max });
  const ids = fc.uniqueArray(id, { minLength: 1, maxLength: 8 });
  const awaited = fc.boolean();
  return fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ name: fc.constant('upsert'), items: items(4), awaited }),
      },
      {
        weight: 2,
        arbitrary: fc.record({ name: fc.constant('upsert'), items: items(23), awaited }),
      },
      { weight: 3, arbitrary: fc.record({ name: fc.constant('delete'), ids, awaited }) },
      { weight: 2, arbitrary: fc.record({ name: fc.constant('get'), ids }) },
      {
        weight: 3,
        arbitrary: fc.record({
          name: fc.constant('query'),
          vector,
          topK: fc.integer({ min: 1, max: 30 }),
          filter: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ name: fc.constant('compact'), awaited }) },
      { weight: 1, arbitrary: fc.record({ name: fc.constant('reopen') }) },
      {
        weight: 2,
        arbitrary: fc.record({
          name: fc.constant('train'),
          nLists: fc.integer({ min: 1, max: 5 }),
        }),
      },
    ),
    { minLength: 1, maxLength: 25 },
  );
};

const cases = config.chain((made) =>
  fc.record({ made: fc.constant(made), list: operations(made.dimension) }),
);

/** The index and the Map beside each other. */
class Pair {
  model = new Map();
  waiting = [];

  constructor(made) {
    this.made = made;
    this.round = made.precision === 'float16' ? toHalf : (x) => x;
  }

  /** What the index stores of a vector; under cosine none may be zero. */
  stored(vector) {
    const rounded = vector.map((x) => this.round(Math.fround(x)));
    return this.made.metric === 'cosine' && rounded.every((x) => x === 0)
      ? rounded.fill(1)
      : rounded;
  }

  async open() {
    const { metric, precision, cacheBytes } = this.made;
    this.key = generateKey();
    this.client = new Client({
      storage: memoryStorage(),
      cacheBytes,
      worker: false,
      minTrainVectors: MIN_TRAIN,
    });
    this.index = await this.client.createIndex({
      indexName: 'model',
      indexKey: this.key,
      metric,
      precision,
    });
  }

  async settle() {
    for (const check of this.waiting.splice(0)) await check();
  }

  async run({ name, awaited, ...options }) {
    await this[name](options);
    if (awaited !== false) await this.settle();
  }

  /** A write under way; what it resolves to is compared later. */
  write(call, expected) {
    call.catch(() => undefined);
    this.waiting.push(async () => assert.equal((await call).count, expected));
  }

  async upsert({ items }) {
    const given = items.map(({ id: name, vector, contents: text, n }) => ({
      id: name,
      vector: this.stored(vector),
      contents: text,
      metadata: { n },
    }));
    this.write(this.index.upsert({ items: given }), given.length);
    for (const item of given) this.model.set(item.id, item);
  }

  async delete({ ids }) {
    this.write(this.index.delete({ ids }), ids.filter((name) => this.model.delete(name)).length);
  }

  async compact() {
    this.write(this.index.compact(), undefined);
  }

  async get({ ids }) {
    await this.settle();
    const expected = ids
      .filter((name) => this.model.has(name))
      .map((name) => {
        const { vector, contents: text, metadata } = this.model.get(name);
        const whole = { id: name, vector: Float32Array.from(vector), metadata };
        return text === undefined ? whole : { ...whole, contents: text };
      });
    assert.deepEqual(await this.index.get({ ids }), expected);
  }

  async query({ vector, topK, filter }) {
    await this.settle();
    const query = this.stored(vector);
    const filters = filter === undefined ? undefined : { n: filter };
    const items = [...this.model.values()].filter(
      ({ metadata }) => filter === undefined || metadata.n === filter,
    );
    const all = await this.index.query({ queryVectors: query, topK, filters, nProbes: 100 });
    assertNearest(all.results, items, query, this.made.metric, topK);
    assert.equal(all.exact, true);
    const few = await this.index.query({ queryVectors: query, topK, filters, nProbes: 1 });
    assert.equal(few.results.length, Math.min(topK, items.length));
    assertNearest(
      few.results,
      items.filter((item) => few.results.some((r) => r.id === item.id)),
      query,
      this.made.metric,
      topK,
    );
  }

  async reopen() {
    await this.settle();
    await this.index.close();
    this.index = await this.client.loadIndex({ indexName: 'model', indexKey: this.key });
  }

  async train({ nLists }) {
    await this.settle();
    const needed = Math.max(2 * nLists, MIN_TRAIN);
    const training = this.index.train({ nLists });
    if (this.model.size < needed) {
      const message = new RegExp(`${needed}.*${this.model.size}`);
      return assertCode(training, 'NOT_ENOUGH_VECTORS', message);
    }
    assert.equal((await training).assigned, this.model.size);
    assert.equal((await this.index.stats()).nLists, nLists);
  }

  async compare() {
    await this.settle();
    assert.equal(await this.index.count(), this.model.size);
    const { ids } = await this.index.listIds();
    assert.deepEqual(ids.sort(), [...this.model.keys()].sort());
    if (ids.length > 0) await this.get({ ids });
    const zero = new Array(this.made.dimension).fill(0.5);
    await this.query({ vector: zero, topK: 100, filter: undefined });
  }
}

test('any sequence of calls leaves what the same calls leave in a Map', async (t) => {
  t.diagnostic(`SEED=${seed}, ${numRuns} runs`);
  let trained = 0;
  const property = fc.asyncProperty(cases, async ({ made, list }) => {
    const pair = new Pair(made);
    await pair.open();
    for (const operation of list) await pair.run(operation);
    await pair.compare();
    await pair.reopen();
    await pair.compare();
    if (await pair.index.isTrained()) trained++;
    await pair.client.close();
  });
  await fc.assert(property, { seed, numRuns });
  assert.ok(trained >= numRuns / 20, `${trained} of ${numRuns} runs trained`);
});
