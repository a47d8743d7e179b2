// The index stays usable while it is trained, and nothing that is written meanwhile is lost.
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Client, fileStorage, memoryStorage } from '../../build/js/index.js';
import { assertCode, assertNearest, ids } from './support/oracle.js';
import {
  answers, clustered, filled, isObject, names, pause, rowOf, watched, write,
} from './support/training.js';

const SELF = fileURLToPath(import.meta.url);
const DIMENSION = 32;
const COUNT = 10_000;
const SPARE = 6_000;
/** Some hundred milliseconds of k-means, so that there is time to do something meanwhile. */
const SLOW = { nLists: 100, tolerance: 0, maxIters: 40, batchSize: 2000 };

const rows = clustered(COUNT + SPARE, DIMENSION, 1, 300, 0.6);
const base = rows.subarray(0, COUNT * DIMENSION);
const asked = clustered(5, DIMENSION, 1, 300, 0.6);
const vectorOf = (id) => rowOf(rows, DIMENSION, id);

/** What an index should hold: a map of ids to vectors. */
const expected = () => new Map(names(0, COUNT).map((id) => [id, vectorOf(id)]));

/** That an index holds these items, and finds the nearest of them. */
async function assertHolds(index, items) {
  const listed = await index.listIds();
  assert.equal(listed.count, items.size);
  assert.deepEqual(new Set(listed.ids), new Set(items.keys()));
  const some = [...items.keys()].filter((_, i) => i % 37 === 0 || i > items.size - 50);
  for (const { id, vector } of await index.get({ ids: some, include: ['vector'] })) {
    assert.deepEqual(vector, new Float32Array(items.get(id)), id);
  }
  const list = Array.from(items, ([id, vector]) => ({ id, vector }));
  const { nLists } = await index.stats();
  const { results } = await index.query({ queryVectors: asked, topK: 10, nProbes: nLists || 1 });
  results.forEach((found, q) => {
    const query = asked.subarray(q * DIMENSION, (q + 1) * DIMENSION);
    assertNearest(found, list, query, 'euclidean', 10);
  });
}

/** Writes of every kind, told to `items` once they are acknowledged. */
const WRITES = {
  async upsert(index, items, at) {
    const fresh = names(COUNT + at * 20, COUNT + at * 20 + 20);
    await index.upsert({ ids: fresh, vectors: fresh.map((id) => [...vectorOf(id)]) });
    for (const id of fresh) items.set(id, vectorOf(id));
  },
  async replace(index, items, at) {
    const old = names(at * 20, at * 20 + 20);
    await index.upsert({ ids: old, vectors: old.map((id) => [...vectorOf(id)].reverse()) });
    for (const id of old) items.set(id, [...vectorOf(id)].reverse());
  },
  async remove(index, items, at) {
    const gone = names(COUNT / 2 + at * 20, COUNT / 2 + at * 20 + 20);
    await index.delete({ ids: gone });
    for (const id of gone) items.delete(id);
  },
};

// Run as a child process: write to the index of a directory until told to stop.
if (process.argv[2] === 'child') {
  const [, , , directory, key] = process.argv;
  const client = new Client({ storage: fileStorage(directory) });
  const indexKey = Buffer.from(key, 'hex');
  const index = await client.loadIndex({ indexName: 'test', indexKey: new Uint8Array(indexKey) });
  let going = true;
  process.on('message', () => { going = false; });
  process.send('ready');
  const items = expected();
  let at = 0;
  for (; going && at < 200; at++) for (const act of Object.values(WRITES)) await act(index, items, at);
  const told = { items: [...items].map(([id, vector]) => [id, [...vector]]), at };
  await new Promise((resolve) => { process.send(told, resolve); });
  await client.close();
  process.disconnect();
} else {
  tests();
}

/** Trains, calling `act` in a loop from the first sign of a phase until training ends. */
async function during(training, act) {
  let going = true;
  const done = training.finally(() => { going = false; });
  done.catch(() => undefined);
  let count = 0;
  while (going) {
    await act(count++);
    await pause(1);
  }
  return { result: await done, count };
}

function tests() {
  describe('while an index is trained', () => {
    for (const [name, worker] of [['workers', true], ['this thread', false]]) {
      test(`in ${name}, what is written is kept`, async () => {
        const { index } = await filled(base, DIMENSION, { worker });
        const items = expected();
        const { count } = await during(index.train(SLOW), async (at) => {
          if (at < 200) for (const act of Object.values(WRITES)) await act(index, items, at);
        });
        assert.ok(count > 2, `${count} rounds of writes`);
        assert.equal(await index.trainingState(), 'trained');
        await assertHolds(index, items);
        await during(index.train({ ...SLOW, nLists: 20 }), async (at) => {
          if (at < 3) await WRITES.upsert(index, items, 220 + at);
        });
        await assertHolds(index, items);
      });

      test(`in ${name}, queries are answered from the last commit, exactly`, async () => {
        const { index } = await filled(base, DIMENSION, { worker });
        const before = await answers(index, asked);
        let answered = 0;
        const { count } = await during(index.train(SLOW), async () => {
          if (!(await index.isTraining())) return;
          const found = await answers(index, asked);
          if (await index.isTrained()) return;
          assert.deepEqual(found, before);
          answered++;
        });
        assert.ok(answered > 2 && answered <= count, `${answered} answers`);
        assert.deepEqual(await answers(index, asked, { nProbes: 100 }), before);
      });
    }

    test('a second training is refused, and so is compact', async () => {
      const { index } = await filled(base, DIMENSION);
      const training = index.train(SLOW);
      while (!(await index.isTraining())) await pause(1);
      assert.equal(await index.trainingState(), 'training');
      await assertCode(index.train(), 'TRAINING_IN_PROGRESS', /being trained/);
      await assertCode(index.compact(), 'TRAINING_IN_PROGRESS');
      await training;
      assert.equal(await index.trainingState(), 'trained');
      await index.train({ nLists: 4 });
    });

    test('all rows may be deleted', async () => {
      const { index } = await filled(base, DIMENSION);
      const training = index.train(SLOW);
      while (!(await index.isTraining())) await pause(1);
      await index.delete({ ids: names(0, COUNT) });
      await training;
      assert.equal(await index.count(), 0);
      assert.deepEqual((await answers(index, asked)).results, new Array(5).fill([]));
      await index.upsert({ ids: ['x'], vectors: [[...vectorOf('v0')]] });
      assert.deepEqual(ids((await answers(index, asked)).results[0]), ['x']);
    });

    test('rows that die at any moment stay dead', async () => {
      for (const phase of ['sample', 'cluster', 'assign', 'calibrate', 'commit']) {
        const { index } = await filled(base, DIMENSION);
        const items = expected();
        const writes = [];
        const onProgress = (progress) => {
          if (progress.phase !== phase || writes.length > 0) return;
          // Not awaited: it takes its turn before the commit.
          writes.push(...Object.values(WRITES).map((act) => act(index, items, 1)));
        };
        await index.train({ ...SLOW, maxIters: 5, onProgress });
        await Promise.all(writes);
        assert.equal(writes.length, 3);
        await assertHolds(index, items);
      }
    });

    test('what arrives at the last moment is put into lists all the same', async () => {
      const { index } = await filled(base, DIMENSION);
      let write = Promise.resolve();
      const vectors = rows.subarray(COUNT * DIMENSION, (COUNT + 5000) * DIMENSION);
      const onProgress = ({ phase }) => {
        if (phase !== 'commit') return;
        write = index.upsert({ ids: names(COUNT, COUNT + 5000), vectors });
      };
      await index.train({ nLists: 100, onProgress });
      await write;
      assert.equal(await index.count(), COUNT + 5000);
      const { rowsScanned } = await index.query({ queryVectors: vectorOf('v0'), topK: 1, nProbes: 1 });
      assert.ok(rowsScanned < 2500, `${rowsScanned} rows of 15,000 in one of 100 lists`);
    });
  });

  describe('while another handle trains', () => {
    test('what this one writes is kept', async () => {
      const { storage, index, indexKey } = await filled(base, DIMENSION);
      const other = await new Client({ storage }).loadIndex({ indexName: 'test', indexKey });
      const items = expected();
      await during(index.train(SLOW), async (at) => {
        if (at < 200) for (const act of Object.values(WRITES)) await act(other, items, at);
      });
      await assertHolds(index, items);
      await assertHolds(other, items);
      assert.equal(await other.isTrained(), true);
    });

    test('segments that this one merges away are taken up from what they became', async () => {
      for (const phase of ['sample', 'assign']) {
        const memory = memoryStorage();
        let armed = false;
        let release;
        const held = new Promise((resolve) => { release = resolve; });
        const holding = watched(memory, async (call, key) => {
          if (armed && call === 'read' && isObject(key)) await held;
        });
        const made = await filled(new Float32Array(), DIMENSION, { storage: holding });
        const items = new Map();
        const put = async (index, from, to) => {
          await write(index, rows, DIMENSION, from, to, 500);
          for (const id of names(from, to)) items.set(id, vectorOf(id));
        };
        // Seven small segments: one more, and another handle merges all of them.
        await put(made.index, 0, 3500);
        const other = await new Client({ storage: memory })
          .loadIndex({ indexName: 'test', indexKey: made.indexKey });
        const onProgress = (progress) => { if (progress.phase === phase) armed = true; };
        const training = made.index.train({ nLists: 10, onProgress });
        while (!armed) await pause(1);
        await pause(20);
        await put(other, 3500, 6000);
        await WRITES.remove(other, items, 0);
        release();
        const { assigned } = await training;
        assert.ok(assigned >= 5980, `${assigned} assigned`);
        await assertHolds(made.index, items);
        await assertHolds(other, items);
        const { rowsScanned } = await other.query({ queryVectors: asked, topK: 1, nProbes: 1 });
        assert.ok(rowsScanned < 5 * 3000, `${rowsScanned} rows scanned: all are in lists`);
      }
    });

    test('two that train at once both succeed, and the lists are those of one of them', async () => {
      const { storage, index, indexKey } = await filled(base, DIMENSION);
      const other = await new Client({ storage, minTrainVectors: 100 })
        .loadIndex({ indexName: 'test', indexKey });
      const [one, two] = await Promise.all([index.train({ nLists: 20 }), other.train({ nLists: 30 })]);
      const last = one.generation > two.generation ? one : two;
      assert.equal((await index.stats()).nLists, last.nLists);
      await assertHolds(index, expected());
      await assertHolds(other, expected());
    });

    test('a write that began before its commit and ends after it is put into lists', async () => {
      const memory = memoryStorage();
      let hold = Promise.resolve();
      const holding = watched(memory, async (call, key) => {
        if (call === 'create' && isObject(key)) await hold;
      });
      const { index, indexKey } = await filled(base, DIMENSION, { storage: memory });
      const other = await new Client({ storage: holding })
        .loadIndex({ indexName: 'test', indexKey });
      let release;
      hold = new Promise((resolve) => { release = resolve; });
      const writing = write(other, rows, DIMENSION, COUNT, COUNT + 4000, 4000);
      await index.train({ nLists: 100 });
      release();
      await writing;
      await other.upsert({ ids: ['last'], vectors: [[...vectorOf('v0')]] });
      await other.close();
      const again = await new Client({ storage: memory }).loadIndex({ indexName: 'test', indexKey });
      const { rowsScanned } = await again.query({ queryVectors: vectorOf('v0'), topK: 1, nProbes: 1 });
      assert.ok(rowsScanned < 2000, `${rowsScanned} rows scanned`);
      assert.equal(await again.count(), COUNT + 4001);
    });
  });

  test('while another process writes, training loses nothing of it', async (context) => {
    const directory = await mkdtemp(join(tmpdir(), 'sealvec-'));
    try {
      const { index, client, indexKey } =
        await filled(base, DIMENSION, { storage: fileStorage(directory) });
      const child = fork(SELF, ['child', directory, Buffer.from(indexKey).toString('hex')]);
      await once(child, 'message');
      const results = [];
      for (let round = 0; round < 3; round++) results.push(await index.train({ ...SLOW, nLists: 64 }));
      child.send('stop');
      const [{ items, at }] = await once(child, 'message');
      context.diagnostic(`${at} rounds of writes during ${results.length} trainings`);
      assert.ok(at > 0);
      // A reader looks for commits of other processes four times a second.
      await pause(300);
      await assertHolds(index, new Map(items));
      await client.close();
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  describe('the calling thread', () => {
    const FRAME = 16;
    const ATTEMPTS = 4;

    /** Runs `work` while a timer runs; the longest (ms) that it was kept from doing so, by label. */
    async function lateness(work) {
      const longest = {};
      let [label, last] = ['start', performance.now()];
      const timer = setInterval(() => {
        const now = performance.now();
        longest[label] = Math.max(longest[label] ?? 0, now - last);
        last = now;
      }, 1);
      await work((next) => { label = next; });
      await pause(20);
      clearInterval(timer);
      return longest;
    }

    /** The least per label of several attempts: what `work` does itself comes back every time. */
    async function leastLateness(work) {
      const least = {};
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        for (const [label, ms] of Object.entries(await work())) {
          least[label] = Math.min(least[label] ?? Infinity, ms);
        }
        if (Math.max(...Object.values(least)) <= FRAME) break;
      }
      const told = Object.entries(least).map(([label, ms]) => `${label} ${ms.toFixed(1)}`);
      return { most: Math.max(...Object.values(least)), told: told.join(', ') };
    }

    /** How late a timer is when two other threads work and this one only copies for a moment. */
    async function noise() {
      const spin = 'const end = Date.now() + 2000; while (Date.now() < end);';
      const bytes = new Uint8Array(2 << 20);
      const copying = setInterval(() => bytes.slice(), 10);
      const late = await lateness(() => Promise.all([0, 1].map(() =>
        once(new Worker(spin, { eval: true }), 'exit'))));
      clearInterval(copying);
      return late;
    }

    test(`is never kept longer than ${FRAME} ms from anything else`, async (context) => {
      const dimension = 128;
      const many = clustered(40_000, dimension, 3, 500, 0.6);
      const { most, told } = await leastLateness(async () => {
        const { index, client } = await filled(many, dimension);
        await pause(200);
        const late = await lateness((label) =>
          index.train({ maxIters: 10, onProgress: ({ phase }) => label(phase) }));
        await client.close();
        return late;
      });
      context.diagnostic(`ms late: ${told}`);
      if (most <= FRAME) return;
      const idle = await leastLateness(noise);
      context.diagnostic(`ms late without training, for the machine is busy: ${idle.told}`);
      assert.ok(most <= Math.max(FRAME, 2 * idle.most), `${told}; without training ${idle.told}`);
    });
  });
}
