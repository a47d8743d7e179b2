// Several processes on one directory: nothing is lost, whatever they do at the same time, and even
// when some of them are suspended for a while.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, generateKey } from '../../build/js/index.js';
import { apply, assertState, itemOf } from './support/model.js';
import { random } from './support/oracle.js';
import { Worker } from './support/processes.js';

const DIMENSION = 16;
const ROWS = 1500;
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const TASK = {
  dimension: DIMENSION, ownIds: 60, sharedIds: ROWS, mostIds: 40, count: 40,
  ops: { upsert: 10, group: 6, delete: 6, compact: 1 },
};
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function newIndex(t) {
  const directory = await fs.mkdtemp(join(tmpdir(), 'sealvec-processes-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  const indexKey = generateKey();
  const client = new Client({ storage: directory, cacheBytes: 200_000 });
  t.after(() => client.close());
  const index = await client.createIndex({ indexName: 'test', indexKey, dimension: DIMENSION });
  const put = Array.from({ length: ROWS }, (_, i) => [`id${i}`, 0]);
  await index.upsert({ items: put.map(([id]) => itemOf(id, 0, DIMENSION)) });
  return { directory, indexKey, index, state: apply(new Map(), { put }) };
}

function start({ directory, indexKey }, name, seed, more = {}) {
  return new Worker({ ...TASK, directory, key: [...indexKey], name, seed, ...more });
}

/** Replays what all workers did in the order of their commits, checking what they were told. */
function replay(state, workers) {
  const calls = workers.flatMap((worker) => worker.calls);
  const writes = calls.filter(({ op }) => op === 'upsert' || op === 'delete')
    .sort((x, y) => x.result.generation - y.result.generation || (x.op === 'upsert' ? -1 : 1));
  let last = 0;
  for (const { op, worker, put, drop = [], result } of writes) {
    const dropped = drop.filter((id) => state.has(id)).length;
    if (op === 'delete') assert.equal(result.count, dropped, `${worker}: ${drop}`);
    if (op === 'upsert' || dropped > 0) {
      assert.ok(result.generation > last, `one write per commit: ${last}`);
      last = result.generation;
    }
    state = apply(state, { put, drop });
  }
  return state;
}

async function finish(workers) {
  for (const worker of workers) {
    await worker.closed;
    const failed = worker.lines.filter((line) => line.failed ?? line.warning);
    assert.deepEqual(failed, [], worker.errors);
    assert.ok(worker.lines.at(-1)?.finished, worker.errors);
    assert.equal(worker.calls.every(({ result }) => result), true);
  }
}

/** Reads while others write: every group is of one version, and no version goes back. */
async function readOn(index, names, until) {
  const seen = new Map();
  let reads = 0;
  while (!until.done) {
    for (const name of names) {
      const ids = Array.from({ length: 20 }, (_, i) => `${name}-group-${i}`);
      const got = await index.get({ ids });
      if (got.length === 0) continue;
      assert.equal(got.length, 20, 'a group is there as a whole');
      const versions = new Set(got.map(({ metadata }) => metadata.version));
      assert.equal(versions.size, 1, `a group is of one version: ${[...versions]}`);
      const [version] = versions;
      assert.ok(version >= (seen.get(name) ?? 0), 'no version comes back');
      seen.set(name, version);
      for (const { id, vector, contents } of got) {
        const expected = itemOf(id, version, DIMENSION);
        assert.deepEqual(vector, expected.vector);
        assert.equal(contents, expected.contents);
      }
    }
    const { results } = await index.query({ queryVectors: new Float32Array(DIMENSION), topK: 20 });
    assert.equal(results.length, 20);
    reads++;
    await pause(5);
  }
  return reads;
}

async function runTogether(t, count, more) {
  const place = await newIndex(t);
  const names = Array.from({ length: count }, (_, i) => `p${i}`);
  const workers = names.map((name, i) => start(place, name, SEED + i, more?.(i)));
  const until = { done: false };
  const reading = readOn(place.index, names, until);
  const rest = { workers, reading, until, ...place };
  await Promise.all(workers.map((worker) => worker.seen((line) => line.ready)));
  return rest;
}

async function checkTogether(t, { workers, reading, until, state, index }) {
  await finish(workers).finally(() => { until.done = true; });
  const reads = await reading;
  const expected = replay(state, workers);
  await assertState(index, expected, DIMENSION, SEED);
  await index.compact();
  await assertState(index, expected, DIMENSION, SEED);
  const calls = workers.reduce((sum, worker) => sum + worker.calls.length, 0);
  t.diagnostic(`seed ${SEED}: ${calls} calls of ${workers.length} processes, ${reads} reads`);
}

test('two processes write, delete and compact, and lose nothing', async (t) => {
  await checkTogether(t, await runTogether(t, 2));
});

test('four processes write the same ids while one of them trains', async (t) => {
  const ops = { ...TASK.ops, train: 4 };
  const together = await runTogether(t, 4, (i) => ({
    count: 25, cacheBytes: i === 1 ? 50_000 : undefined, ...(i === 0 && { ops, at: { 12: 'train' } }),
  }));
  await checkTogether(t, together);
  const trainings = together.workers[0].calls.filter(({ op }) => op === 'train');
  assert.ok(trainings.length > 0);
  assert.equal((await together.index.stats()).trainingState, 'trained');
});

test('processes write while one of them re-encrypts everything again and again', async (t) => {
  const together = await runTogether(t, 3, (i) => ({
    ...(i === 0 && { ops: { upsert: 4, rekey: 6 }, count: 20 }),
  }));
  await checkTogether(t, together);
  const rekeys = together.workers[0].calls.filter(({ op }) => op === 'rekey');
  assert.ok(rekeys.length > 3);
  t.diagnostic(`${rekeys.length} times re-encrypted`);
});

test('processes that are suspended at any time lose nothing and bring nothing back', async (t) => {
  const ops = { upsert: 6, group: 3, delete: 5, compact: 4 };
  const together = await runTogether(t, 3, () => ({ ops, count: 30 }));
  const { workers } = together;
  const next = random(SEED);
  let stops = 0;
  const open = () => workers.filter((worker) => worker.process.exitCode === null);
  while (open().length > 1) {
    const all = open();
    const worker = all[Math.floor(next() * all.length)];
    worker.process.kill('SIGSTOP');
    stops++;
    await pause(100 + 200 * next());
    worker.process.kill('SIGCONT');
    await pause(30 * next());
  }
  t.diagnostic(`${stops} times suspended`);
  await checkTogether(t, together);
});
