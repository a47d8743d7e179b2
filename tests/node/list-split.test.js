// Lists that outgrow the others are split, in the seats of lists that emptied, without a training.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { chooseReseating } from '../../build/js/list-choice.js';
import { Client, memoryStorage } from '../../build/js/index.js';
import { random } from './support/oracle.js';
import { answers, clustered, filled, isObject, names, pause, rowOf, watched, write } from './support/training.js';

const DIMENSION = 12;
const LISTS = 16;
const before = clustered(2000, DIMENSION, 1);
// All around one point: none of them is like the rows before.
const spot = clustered(3000, DIMENSION, 2, 1, 0.3).map((x) => x + 4);
const both = new Float32Array([...before, ...spot]);

/** A trained index to which the rows at the spot then come. */
async function drifted(options = {}, indexOptions = {}, rows = both) {
  const opened = await filled(rows.subarray(0, before.length), DIMENSION, options, indexOptions);
  await opened.index.train({ nLists: LISTS, seed: 1 });
  await write(opened.index, rows, DIMENSION, 2000, rows.length / DIMENSION, 1000);
  await settled(opened.index);
  return opened;
}

/** Waits for what follows the writes so far: it has its turn before the next one. */
const settled = (index) => index.delete({ ids: ['nobody'] });

/** Rows of the list in which a vector would be. */
async function listSize(index, queryVectors) {
  return (await index.query({ queryVectors, nProbes: 1, topK: 1 })).rowsScanned;
}

describe('the choice', () => {
  test('is lists of over three times the mean, in about as many parts', () => {
    // The mean is 200, then 160, then 150.
    const counts = Uint32Array.from([1000, 100, 100, 90, 110, 295, 215, 80, 10, 0]);
    assert.deepEqual(chooseReseating(counts), {
      outgrown: [{ list: 0, parts: 5 }], emptied: [9, 8],
    });
    counts[0] = 600;
    assert.deepEqual(chooseReseating(counts).outgrown, [{ list: 0, parts: 4 }]);
    counts[0] = 428;
    assert.deepEqual(chooseReseating(counts), { outgrown: [], emptied: [] });
  });

  test('leaves alone lists that are small, and an index without rows', () => {
    assert.deepEqual(chooseReseating(Uint32Array.of(127, 1, 1, 1, 1)).outgrown, []);
    assert.deepEqual(chooseReseating(Uint32Array.of(128, 1, 1, 1, 1)).outgrown.length, 1);
    assert.deepEqual(chooseReseating(new Uint32Array(5)), { outgrown: [], emptied: [] });
  });

  test('evens out lists of any sizes, and takes no seat that it does not fill', () => {
    const next = random(5);
    for (let round = 0; round < 300; round++) {
      const counts = Uint32Array.from({ length: 1 + Math.floor(next() * 50) }, () =>
        Math.floor(next() ** 6 * 5000));
      const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
      const { outgrown, emptied } = chooseReseating(counts);
      const split = new Map(outgrown.map(({ list, parts }) => [list, parts]));
      counts.forEach((count, list) => {
        const parts = split.get(list) ?? 1;
        assert.ok(count < 128 || count / parts <= 3 * mean, `${count} rows of mean ${mean}`);
        assert.ok(parts === 1 || count / parts > mean / 2);
      });
      const seats = outgrown.reduce((sum, { parts }) => sum + parts - 1, 0);
      assert.ok(emptied.length <= seats && emptied.every((list) => counts[list] <= mean / 8));
      assert.equal(new Set([...emptied, ...split.keys()]).size, emptied.length + split.size);
    }
  });
});

describe('a list that outgrew the others', () => {
  for (const metric of ['euclidean', 'cosine', 'inner_product']) {
    for (const precision of ['float32', 'float16']) {
      test(`is split while its rows stay what they were, ${metric}, ${precision}`, async () => {
        const rows = metric === 'euclidean' ? both
          : both.map((x, i) => (i < before.length ? x : x + 3 * ((Math.floor(i / DIMENSION) + i) % 3)));
        const { index } = await drifted({}, { metric, precision }, rows);
        const { nLists, count } = await index.stats();
        assert.ok(nLists > LISTS, `${nLists} lists`);
        assert.equal(count, 5000);
        const whole = await filled(rows, DIMENSION, {}, { metric, precision });
        const queries = rows.subarray(1990 * DIMENSION, 2010 * DIMENSION);
        assert.deepEqual(
          await answers(index, queries, { nProbes: nLists }), await answers(whole.index, queries),
        );
        const one = rowOf(rows, DIMENSION, 'v3000');
        const size = await listSize(index, one);
        assert.ok(size < 3 * (count / nLists), `${size} rows, ${nLists} lists`);
        const { results } = await index.query({ queryVectors: queries, topK: 10 });
        const truth = await answers(whole.index, queries);
        const found = results.flatMap((list, q) =>
          list.filter(({ id }) => truth.results[q].some((item) => item.id === id)));
        assert.ok(found.length >= 0.85 * 200, `${found.length} of 200 found`);
      });
    }
  }

  test('keeps the metadata and contents of its rows', async () => {
    const { index } = await filled(before, DIMENSION);
    await index.train({ nLists: LISTS, seed: 1 });
    const items = names(2000, 5000).map((id, i) => ({
      id, vector: rowOf(both, DIMENSION, id), metadata: i % 3 ? { i } : undefined,
      contents: i % 5 ? `text ${i}` : undefined,
    }));
    await index.upsert({ items });
    await settled(index);
    assert.ok((await index.stats()).nLists > LISTS);
    const found = await index.get({ ids: items.map(({ id }) => id), include: ['metadata', 'contents'] });
    assert.deepEqual(found, items.map(({ id, metadata, contents }) =>
      ({ id, ...(contents && { contents }), ...(metadata && { metadata }) })));
  });

  test('leaves dead rows behind, which compact drops', async () => {
    const { index } = await drifted();
    await index.compact();
    const { deadRows, count, nLists } = await index.stats();
    assert.deepEqual([deadRows, count], [0, 5000]);
    await index.compact();
    assert.equal((await index.stats()).nLists, nLists);
  });

  test('has the next training begin with the lists there are', async () => {
    const { index } = await drifted();
    const { nLists } = await index.stats();
    const { warm, imbalance } = await index.train({ nLists: nLists - 2 });
    assert.equal(warm, true);
    assert.ok(imbalance < 4);
  });

  test('of rows that are all the same is left as it is, once and for all', async () => {
    const same = new Float32Array(3000 * DIMENSION).fill(4);
    const rows = new Float32Array([...before, ...same]);
    let written = 0;
    const storage = watched(memoryStorage(), (call, key) => {
      written += call === 'create' && isObject(key);
    });
    const { index } = await filled(before, DIMENSION, { storage });
    await index.train({ nLists: LISTS, seed: 1 });
    // All at once: of a few of them, the rows that were in their list could be split off.
    await write(index, rows, DIMENSION, 2000, 5000, 3000);
    await settled(index);
    assert.equal((await index.stats()).nLists, LISTS);
    const until = written;
    await settled(index);
    assert.equal(written, until);
    assert.equal((await index.query({ queryVectors: same.subarray(0, DIMENSION) })).results.length, 100);
  });
});

describe('lists that emptied', () => {
  test('give their seats', async () => {
    const { index } = await filled(before, DIMENSION);
    await index.train({ nLists: LISTS, seed: 1 });
    await index.delete({ ids: names(0, 1950) });
    await write(index, both, DIMENSION, 2000, 5000, 1000);
    await settled(index);
    const { nLists, count } = await index.stats();
    assert.equal(count, 3050);
    assert.ok(nLists < 2 * LISTS, `${nLists} lists`);
    const size = await listSize(index, rowOf(both, DIMENSION, 'v3000'));
    assert.ok(size < 1000, `${size} rows`);
    const far = names(1950, 2000);
    const found = await index.query({ queryVectors: rowOf(both, DIMENSION, 'v1960'), topK: 1 });
    assert.equal(found.results[0].id, 'v1960');
    assert.equal((await index.get({ ids: far, include: [] })).length, 50);
  });
});

describe('a split', () => {
  test('loses nothing that another writer does meanwhile', async () => {
    const storage = memoryStorage();
    const { indexKey } = await filled(before, DIMENSION, { storage });
    const other = await new Client({ storage, minTrainVectors: 100 })
      .loadIndex({ indexName: 'test', indexKey });
    await other.train({ nLists: LISTS, seed: 1 });
    const acts = [
      () => other.upsert({ ids: ['new'], vectors: [rowOf(both, DIMENSION, 'v4000')] }),
      () => other.delete({ ids: ['v2500'] }),
      () => other.upsert({ ids: ['v2600'], vectors: [rowOf(both, DIMENSION, 'v4000')] }),
      () => other.compact(),
      () => other.train({ nLists: 8, seed: 2 }),
    ];
    let at = 0;
    let [armed, busy] = [false, false];
    const slow = watched(storage, async (call, key) => {
      if (!armed || busy || call !== 'create' || !isObject(key)) return;
      busy = true;
      await acts[at++ % acts.length]();
      busy = false;
    });
    const index = await new Client({ storage: slow, minTrainVectors: 100 })
      .loadIndex({ indexName: 'test', indexKey });
    for (let round = 0; round < 2 * acts.length; round++) {
      armed = true;
      const from = 2000 + round * 300;
      await index.upsert({
        ids: names(from, from + 300),
        vectors: both.subarray(from * DIMENSION, (from + 300) * DIMENSION),
      });
      await settled(index);
      armed = false;
    }
    await settled(index);
    await pause(1);
    assert.ok(at >= acts.length, `${at} things happened`);
    const { ids } = await index.listIds();
    const expected = new Set([...names(0, 5000), 'new']);
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(ids.filter((id) => !expected.has(id)), []);
    assert.ok(ids.length >= 4999, `${ids.length} ids`);
    const found = await index.get({ ids: ['v2600', 'new', 'v4001'], include: ['vector'] });
    assert.equal(found.length, 3);
  });

  test('that fails leaves the index as it was, with a warning', async () => {
    const inner = memoryStorage();
    let fail = false;
    let creates = 0;
    const storage = watched(inner, (call, key) => {
      if (call !== 'create' || !isObject(key)) return;
      // The upsert's own segment is the first; what follows is the split's.
      if (fail && ++creates > 1) throw Object.assign(new Error('disk'), { code: 'EIO' });
    });
    const { index, warnings } = await filled(before, DIMENSION, { storage });
    await index.train({ nLists: LISTS, seed: 1 });
    fail = true;
    await index.upsert({ ids: names(2000, 5000), vectors: spot });
    await settled(index);
    assert.match(warnings.join(), /merging segments failed/);
    fail = false;
    assert.deepEqual([(await index.stats()).nLists, await index.count()], [LISTS, 5000]);
    await write(index, both, DIMENSION, 2000, 2600);
    await index.upsert({ ids: ['x'], vectors: [rowOf(both, DIMENSION, 'v2000')] });
    await settled(index);
    assert.equal(await index.count(), 5001);
  });
});
