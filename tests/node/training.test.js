// What train takes, what it answers, and that each option does what it says.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { chooseLists } from '../../build/js/train-plan.js';
import { assertCode, assertNearest } from './support/oracle.js';
import { answers, clustered, filled, isObject, names, rowOf, watched, write } from './support/training.js';

const DIMENSION = 16;
const COUNT = 4000;
const all = clustered(COUNT + 20, DIMENSION, 1);
const rows = all.subarray(0, COUNT * DIMENSION);
const queries = all.subarray(COUNT * DIMENSION);
const items = names(0, COUNT).map((id) => ({ id, vector: [...rowOf(rows, DIMENSION, id)] }));

describe('the least number of vectors', () => {
  test('is 10,000, told with the number there are', async () => {
    const { index } = await filled(clustered(9999, 2, 3), 2, { minTrainVectors: 10_000 });
    const message = /^train: \d+ lists need at least 10000 vectors, got 9999$/;
    await assertCode(index.train(), 'NOT_ENOUGH_VECTORS', message);
    await assertCode(index.train(5000), 'NOT_ENOUGH_VECTORS', /5000 lists need at least 10000/);
    assert.equal(await index.trainingState(), 'untrained');
    await index.upsert({ ids: ['last'], vectors: [[0, 0]] });
    assert.equal((await index.train()).nLists, 64);
    assert.equal(await index.trainingState(), 'trained');
  });

  test('is twice the number of lists where that is more', async () => {
    const { index } = await filled(clustered(10_001, 2, 3), 2, { minTrainVectors: 10_000 });
    const message = /^train: 5001 lists need at least 10002 vectors, got 10001$/;
    await assertCode(index.train({ nLists: 5001 }), 'NOT_ENOUGH_VECTORS', message);
    await index.upsert({ ids: ['last'], vectors: [[0, 0]] });
    assert.equal((await index.train({ nLists: 5001, maxIters: 1 })).nLists, 5001);
  });

  test('counts the living', async () => {
    const { index } = await filled(rows, DIMENSION, { minTrainVectors: COUNT });
    await index.delete({ ids: ['v0'] });
    await assertCode(index.train(), 'NOT_ENOUGH_VECTORS', /at least 4000 vectors, got 3999$/);
    await assertCode((await filled(rows.slice(0, 0), 2)).index.train(), 'NOT_ENOUGH_VECTORS', /got 0$/);
  });

  test('is the option minTrainVectors of each client, which no index remembers', async () => {
    const { storage, index, indexKey } = await filled(rows.subarray(0, 100 * DIMENSION), DIMENSION);
    const strict = new Client({ storage });
    const other = await strict.loadIndex({ indexName: 'test', indexKey });
    await assertCode(other.train(4), 'NOT_ENOUGH_VECTORS', /at least 10000 vectors, got 100$/);
    assert.equal((await index.train(4)).nLists, 4);
  });
});

describe('nLists', () => {
  test('unset is a power of two from 1/10,000 to 1/100 of the vectors, where that allows one', () => {
    for (let n = 1; n < 3e9; n = Math.ceil(n * 1.37)) {
      const lists = chooseLists(n);
      assert.equal(Math.log2(lists) % 1, 0, `${lists} lists for ${n}`);
      if (n < 100) assert.equal(lists, 1);
      else assert.ok(lists >= n / 10_000 && lists <= n / 100, `${lists} lists for ${n}`);
    }
  });

  test('may be given as the only argument, and may be any number from 1 up', async () => {
    const { index } = await filled(rows, DIMENSION);
    const exact = await answers(index, queries);
    for (const nLists of [1, 2, 7, 100, 2000]) {
      assert.equal((await index.train(nLists)).nLists, nLists);
      assert.equal((await index.stats()).nLists, nLists);
      assert.deepEqual(await answers(index, queries, { nProbes: nLists }), exact);
    }
    for (const bad of [0, -1, 1.5, NaN, 2 ** 40, '8', null]) {
      await assertCode(index.train({ nLists: bad }), 'INVALID_ARGUMENT', /nLists: expected/);
    }
    await assertCode(index.train(0), 'INVALID_ARGUMENT', /nLists: expected an integer from 1/);
  });
});

describe('batchSize', () => {
  test('bounds the vectors that are assigned at a time, and is told', async () => {
    const made = [];
    const storage = watched(memoryStorage(), (call, key, bytes) => {
      if (call === 'create' && isObject(key)) made.push(bytes.length);
    });
    const { index } = await filled(rows, DIMENSION, { storage });
    const plain = [];
    for (const batchSize of [0, 1000, 300]) {
      made.length = 0;
      const result = await index.train({ nLists: 8, batchSize, seed: 1, workers: 1 });
      plain.push([result.batchSize, made.filter((size) => size < result.batchSize * 200).length]);
      assert.equal(result.assigned, COUNT);
    }
    // One segment for each batch, and the centroids.
    assert.deepEqual(plain, [[4000, 2], [1000, 5], [300, 15]]);
  });
});

// Nothing to find in it: every iteration improves a little.
const noise = clustered(COUNT, DIMENSION, 1, COUNT, 1);

describe('maxIters', () => {
  test('caps the iterations; more of them fit the data better', async () => {
    const { index } = await filled(noise, DIMENSION);
    const train = (maxIters) => index.train({ nLists: 32, maxIters, tolerance: 0, seed: 5 });
    const [one, three, many] = [await train(1), await train(3), await train(200)];
    assert.deepEqual([one.iterations, one.stopReason, one.maxIters], [1, 'max_iters', 1]);
    assert.deepEqual([three.iterations, three.stopReason], [3, 'max_iters']);
    assert.equal(many.stopReason, 'converged');
    assert.ok(many.iterations > 3 && many.iterations < 200);
    assert.ok(one.quantizationError > three.quantizationError);
    assert.ok(three.quantizationError > many.quantizationError);
  });
});

describe('lists', () => {
  test('have at most twice the mean of the rows, and none is empty', async () => {
    // A third of the rows lie close together.
    const uneven = noise.map((x, i) => (Math.floor(i / DIMENSION) % 3 ? x : x / 10));
    for (const nLists of [40, 160]) {
      const { index } = await filled(uneven, DIMENSION);
      const { imbalance } = await index.train({ nLists, workers: 2, seed: 1 });
      assert.ok(imbalance <= 2.2, `${imbalance} times the mean in ${nLists} lists`);
      let before = 0;
      for (let nProbes = 1; nProbes <= nLists; nProbes++) {
        const queryVectors = rowOf(uneven, DIMENSION, 'v0');
        const { rowsScanned } = await index.query({ queryVectors, nProbes, topK: 1 });
        assert.ok(rowsScanned > before, `list ${nProbes} of ${nLists} is empty`);
        before = rowsScanned;
      }
      assert.equal(before, COUNT);
    }
  });
});

describe('tolerance', () => {
  test('is the relative improvement under which k-means has converged', async () => {
    const { index } = await filled(noise, DIMENSION);
    const train = (tolerance) => index.train({ nLists: 32, tolerance, seed: 5 });
    const [coarse, fine] = [await train(0.5), await train(1e-4)];
    assert.deepEqual([coarse.stopReason, coarse.tolerance], ['converged', 0.5]);
    // Two passes, and two more when lists had to be evened out.
    assert.ok(coarse.iterations <= 4, `${coarse.iterations} iterations`);
    assert.equal(fine.stopReason, 'converged');
    assert.ok(fine.iterations > 4);
    assert.ok(fine.quantizationError < coarse.quantizationError);
  });

  test('left out is 1e-6, and then a clustering that stalls is done', async () => {
    const { index } = await filled(noise, DIMENSION);
    const usual = await index.train({ nLists: 64, seed: 5 });
    const exact = await index.train({ nLists: 64, seed: 5, tolerance: 1e-6 });
    assert.equal(usual.tolerance, 1e-6);
    assert.equal(usual.stopReason, 'stalled');
    assert.equal(exact.stopReason, 'converged');
    assert.ok(exact.iterations > usual.iterations);
  });
});

describe('the result', () => {
  test('tells what was done', async () => {
    const { index } = await filled(rows, DIMENSION);
    const before = (await index.stats()).generation;
    const result = await index.train({ nLists: 16, seed: 9, workers: 2, batchSize: 1000 });
    const { seconds, phases, quantizationError, imbalance, peakBytes, iterations, stopReason } = result;
    assert.deepEqual({ ...result, seconds: 0, phases: 0, quantizationError: 0, imbalance: 0,
      peakBytes: 0, iterations: 0, stopReason: '' }, {
      nLists: 16, trainedOn: 3750, assigned: COUNT, batchSize: 1000, maxIters: 100, tolerance: 1e-6,
      maxMemory: 0, workers: 2, seed: 9, warm: false, generation: before + 1, seconds: 0,
      phases: 0, quantizationError: 0, imbalance: 0, peakBytes: 0, iterations: 0, stopReason: '',
    });
    assert.deepEqual(Object.keys(phases), ['sample', 'cluster', 'assign', 'calibrate', 'commit']);
    const sum = Object.values(phases).reduce((total, phase) => total + phase, 0);
    assert.ok(sum > 0 && sum <= seconds, `${sum} of ${seconds} s`);
    assert.ok(imbalance >= 1 && imbalance <= 16);
    assert.ok(iterations > 0 && ['stalled', 'converged', 'max_iters'].includes(stopReason));
    assert.ok(peakBytes > COUNT * DIMENSION * 4 && peakBytes < 64e6, `${peakBytes} bytes`);
    assert.ok(quantizationError > 0 && quantizationError < DIMENSION);
  });

  test('has the mean squared distance to the mean of the list', async () => {
    // The corners of a cube are 1/2 from its centre in each of 4 components, and 0 from themselves.
    const corner = (i) => [i & 1, (i >> 1) & 1, (i >> 2) & 1, i >> 3];
    const cube = Float32Array.from({ length: 6400 }, (_, i) => corner((i >> 2) % 16)[i % 4]);
    const { index } = await filled(cube, 4);
    const { quantizationError: centre } = await index.train({ nLists: 1, seed: 1 });
    assert.ok(Math.abs(centre - 1) < 1e-6, `${centre}`);
    const many = await index.train({ nLists: 200, seed: 1 });
    assert.equal(many.quantizationError, 0);
  });

  test('is the same for the same seed and rows, whatever the number of workers', async () => {
    const many = clustered(30_000, 64, 4, 300, 0.5);
    const asked = clustered(50, 64, 5, 50, 1);
    const outcome = async (options, client) => {
      const { index } = await filled(many, 64, client);
      const { quantizationError, iterations, imbalance, workers } =
        await index.train({ nLists: 50, maxIters: 5, seed: 7, ...options });
      const { results } = await index.query({ queryVectors: asked, topK: 20, nProbes: 1 });
      await index.close();
      return { workers, rest: { quantizationError, iterations, imbalance, results } };
    };
    const one = await outcome({ workers: 1 });
    const two = await outcome({ workers: 2 });
    assert.deepEqual([one.workers, two.workers], [1, 2], '8 MB are two batches');
    assert.deepEqual(two.rest, one.rest);
    const inline = await outcome({ workers: 2 }, { worker: false });
    assert.deepEqual(inline, { workers: 1, rest: one.rest });
    assert.notDeepEqual((await outcome({ seed: 8 })).rest, one.rest);
  });

  test('has a seed of its own each time when none is given', async () => {
    const { index } = await filled(rows, DIMENSION);
    const [one, two] = [await index.train(8), await index.train(8)];
    assert.notEqual(one.seed, two.seed);
  });
});

describe('progress', () => {
  for (const [name, worker] of [['workers', true], ['this thread', false]]) {
    test(`goes through the phases in order and never falls, with ${name}`, async () => {
      const { index } = await filled(clustered(20_000, 32, 6), 32, { worker });
      const seen = [];
      await index.train({ nLists: 64, onProgress: (progress) => seen.push(progress) });
      const phases = seen.map(({ phase }) => phase).filter((phase, i, all) => phase !== all[i - 1]);
      assert.deepEqual(phases, ['sample', 'cluster', 'assign', 'calibrate', 'commit']);
      const fractions = seen.map(({ fraction }) => fraction);
      assert.deepEqual(fractions, [...fractions].sort((x, y) => x - y));
      assert.deepEqual([fractions[0], fractions.at(-1)], [0, 1]);
      assert.ok(new Set(fractions).size > 6, `${fractions.length} reports`);
      assert.ok(seen.every((progress) => Object.keys(progress).join() === 'phase,fraction'));
    });
  }

  test('that throws ends the training with what it threw', async () => {
    const { index } = await filled(rows, DIMENSION);
    for (const at of ['sample', 'cluster', 'assign', 'calibrate', 'commit']) {
      const onProgress = ({ phase }) => { if (phase === at) throw new RangeError(`in ${at}`); };
      await assert.rejects(index.train({ nLists: 8, onProgress }), { message: `in ${at}` });
      assert.equal(await index.trainingState(), 'untrained');
    }
  });
});

// A worker never hears of a message whose bytes were moved away before: hence the time limit.
test("leaves what a caller's storage hands out to that storage", { timeout: 60_000 }, async () => {
  const inner = memoryStorage();
  const handed = new Map();
  const storage = {
    read: async (key, range) => {
      if (!isObject(key)) return inner.read(key, range);
      const name = JSON.stringify([key, range]);
      if (!handed.has(name)) handed.set(name, await inner.read(key, range));
      return handed.get(name);
    },
    create: async (key, bytes) => inner.create(key, bytes),
    delete: async (keys) => inner.delete(keys),
    list: async (prefix) => inner.list(prefix),
    close: async () => inner.close(),
  };
  const { index } = await filled(rows, DIMENSION, { storage });
  assert.equal((await index.train({ nLists: 16, batchSize: 1000 })).workers, 2);
  assert.ok(handed.size > 0);
  for (const [name, bytes] of handed) assert.ok(bytes.length > 0, `${name} was moved away`);
});

describe('training again', () => {
  test('replaces the lists by others, any number of times', async () => {
    const { index } = await filled(rows.subarray(0, 3000 * DIMENSION), DIMENSION);
    await index.train({ nLists: 8 });
    await write(index, rows, DIMENSION, 3000, COUNT);
    await index.delete({ ids: names(0, 500) });
    const left = items.slice(500);
    for (const nLists of [64, 4, 64]) {
      const result = await index.train({ nLists });
      assert.equal(result.assigned, left.length);
      const { results } = await index.query({ queryVectors: queries, topK: 10, nProbes: nLists });
      for (const [q, found] of results.entries()) {
        const query = queries.subarray(q * DIMENSION, (q + 1) * DIMENSION);
        assertNearest(found, left, query, 'euclidean', 10);
      }
    }
    const { deadRows, count } = await index.stats();
    assert.deepEqual([deadRows, count], [0, left.length]);
  });

  test('begins with the lists there are, unless a seed is given or other lists are wanted', async () => {
    const { index } = await filled(noise, DIMENSION);
    const [first, second] = [await index.train({ nLists: 32 }), await index.train({ nLists: 32 })];
    assert.deepEqual([first.warm, second.warm], [false, true]);
    assert.ok(second.quantizationError < first.quantizationError);
    assert.equal((await index.train({ nLists: 32, seed: 1 })).warm, false);
    assert.equal((await index.train({ nLists: 16 })).warm, false);
    assert.equal((await index.train({ nLists: 16 })).warm, true);
  });

  test('from the lists there are finds lists for rows that came to lie elsewhere', async () => {
    for (const metric of ['euclidean', 'inner_product']) {
      const { index } = await filled(rows.subarray(0, 1000 * DIMENSION), DIMENSION, {}, { metric });
      await index.train({ nLists: 32 });
      const far = clustered(3000, DIMENSION, 9).map((x, i) => 3 * x + (i % DIMENSION));
      await write(index, far, DIMENSION, 0, 3000);
      const warm = await index.train({ nLists: 32 });
      const cold = await index.train({ nLists: 32, seed: 1 });
      assert.deepEqual([warm.warm, warm.assigned, cold.warm], [true, 3000, false]);
      const ratio = warm.quantizationError / cold.quantizationError;
      assert.ok(ratio < 1.25, `${ratio} times the error, ${metric}`);
    }
  });

  test('frees what it replaced once there is another commit', async () => {
    const { storage, index } = await filled(rows, DIMENSION);
    const { storedBytes } = await index.stats();
    for (let i = 0; i < 5; i++) await index.train({ nLists: 8 });
    await index.compact();
    const sizes = await Promise.all((await storage.list('')).map((key) => storage.read(key)));
    const total = sizes.reduce((sum, { length }) => sum + length, 0);
    assert.ok(total < storedBytes * 1.2, `${total} bytes, ${storedBytes} before`);
  });

  test('works for every metric and precision', async () => {
    for (const metric of ['euclidean', 'squared_euclidean', 'cosine', 'inner_product']) {
      for (const precision of ['float32', 'float16']) {
        const { index } = await filled(rows, DIMENSION, {}, { metric, precision });
        const exact = await answers(index, queries);
        await index.train({ nLists: 32, seed: 1 });
        assert.deepEqual(await answers(index, queries, { nProbes: 32 }), exact);
        const { results } = await index.query({ queryVectors: queries, topK: 10 });
        const found = results.flatMap((list, q) =>
          list.filter(({ id }) => exact.results[q].some((item) => item.id === id)));
        assert.ok(found.length >= 0.85 * 200, `${found.length} of 200 found, ${metric}`);
      }
    }
  });

  test('works with ids, metadata and contents of any length', async () => {
    const client = new Client({ storage: memoryStorage(), minTrainVectors: 100 });
    const index = await client.createIndex({ indexName: 'a', indexKey: generateKey() });
    const full = items.slice(0, 1000).map((item, i) => ({
      ...item, metadata: i % 3 ? { i } : undefined, contents: i % 5 ? 'x'.repeat(i) : new Uint8Array(i),
    }));
    await index.upsert({ items: full });
    await index.delete({ ids: full.slice(200, 400).map(({ id }) => id) });
    await index.train({ nLists: 8, batchSize: 100 });
    const left = [...full.slice(0, 200), ...full.slice(400)];
    const found = await index.get({ ids: full.map(({ id }) => id) });
    assert.deepEqual(found.map(({ id, metadata, contents }) => [id, metadata, contents]),
      left.map(({ id, metadata, contents }) => [id, metadata, contents]));
  });

  test('needs the right key', async () => {
    const { index } = await filled(rows, DIMENSION);
    await assertCode(index.train({ indexKey: generateKey() }), 'WRONG_KEY');
    assert.equal(await index.trainingState(), 'untrained');
  });
});
