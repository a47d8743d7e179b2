// A process that works on an index of 20,000 rows is killed (SIGKILL) at random moments, and the
// next one goes on from what it left. KILLS=500 is `make kill`; SEED=n repeats what was asked of
// the processes, but not the moments at which they die.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Client, generateKey } from '../../build/js/index.js';
import { apply, assertQueries, difference, itemOf, readState, sameState } from './support/model.js';
import { random } from './support/oracle.js';
import { Worker } from './support/processes.js';

const KILLS = Number(process.env.KILLS ?? 12);
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31));
const DIMENSION = 16;
const ROWS = 20_000;
/** Milliseconds, most of them within the calls that take longest. */
const MOST_DELAY = 1200;

const TASK = {
  dimension: DIMENSION, sharedOnly: true, sharedIds: ROWS + 2000, mostIds: 400, count: Infinity,
  ops: { upsert: 9, delete: 4, train: 3, compact: 3, rekey: 2 },
};
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/** Runs a process until it is killed: its calls, and those of them that had not resolved. */
async function runAndKill(task, next) {
  const worker = new Worker({ ...TASK, ...task });
  // One in five dies while it is opening the index, or before.
  if (next() < 0.8) await worker.seen((line) => line.ready);
  await pause(next() * MOST_DELAY);
  assert.equal(worker.process.exitCode, null, worker.errors);
  await worker.kill();
  const { calls } = worker;
  assert.deepEqual(worker.lines.filter((line) => line.failed ?? line.warning), []);
  return { calls, open: calls.filter(({ result }) => !result) };
}

/** The states that may be there: after what was acknowledged, and after more of what was asked. */
function possible(state, calls, open) {
  let known = state;
  for (const call of calls) if (call.result) known = apply(known, call);
  const states = [known];
  for (const call of open) if (call.put ?? call.drop) states.push(apply(states.at(-1), call));
  return states;
}

/** That nothing is in the directory but what the index is made of. */
async function assertNoGarbage(directory, { storedBytes }) {
  const files = await fs.readdir(directory, { recursive: true, withFileTypes: true });
  const inFolder = (name) => files.filter((file) => file.isFile() &&
    path.basename(file.parentPath ?? file.path) === name);
  const sizes = await Promise.all(inFolder('object').map(async (file) =>
    (await fs.stat(path.join(file.parentPath ?? file.path, file.name))).size));
  assert.equal(sizes.reduce((sum, size) => sum + size, 0), storedBytes, 'no object is left over');
  assert.equal(inFolder('manifest').length, 1);
  assert.equal(inFolder('.tmp').length, 0);
}

/**
 * What compact says. A storage removes what killed processes were writing after the first object
 * it writes itself, in the background: hence the write, and the close, which waits for that.
 */
async function writeAndCompact(directory, indexKey) {
  const client = new Client({ storage: directory });
  const index = await client.loadIndex({ indexName: 'test', indexKey });
  await index.upsert({ items: [itemOf('id0', 0, DIMENSION)] });
  const compacted = await index.compact();
  await client.close();
  return compacted;
}

test(`an index killed ${KILLS} times opens every time with all acknowledged writes`, async (t) => {
  t.diagnostic(`SEED=${SEED}`);
  const directory = await fs.mkdtemp(path.join(os.tmpdir(), 'sealvec-kill-'));
  t.after(() => fs.rm(directory, { recursive: true, force: true }));
  const next = random(SEED);
  const indexKey = generateKey();
  const logger = { warn: (message) => assert.fail(message) };
  const maker = new Client({ storage: directory, logger });
  const made = await maker.createIndex({ indexName: 'test', indexKey, dimension: DIMENSION });
  const put = Array.from({ length: ROWS }, (_, i) => [`id${i}`, 0]);
  await made.upsert({ items: put.map(([id]) => itemOf(id, 0, DIMENSION)) });
  await maker.close();
  let state = apply(new Map(), { put });
  const tally = { upsert: 0, delete: 0, train: 0, compact: 0, rekey: 0, opening: 0 };
  let [acknowledged, slowest] = [0, 0];
  for (let kill = 0; kill < KILLS; kill++) {
    const task = { directory, key: [...indexKey], name: `k${kill}`, seed: SEED + kill };
    const { calls, open } = await runAndKill({ ...task, versionFrom: 1 + kill * 10_000 }, next);
    acknowledged += calls.length - open.length;
    for (const { op } of open) tally[op]++;
    if (calls.length === 0) tally.opening++;
    const states = possible(state, calls, open);
    const client = new Client({ storage: directory, logger });
    const started = performance.now();
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    slowest = Math.max(slowest, performance.now() - started);
    const found = await readState(index, DIMENSION);
    assert.ok(states.some((one) => sameState(one, found)),
      `kill ${kill} during ${open.map(({ op }) => op)}: ${difference(found, states[0])}`);
    await assertQueries(index, found, DIMENSION, SEED + kill, 1);
    state = found;
    await client.close();
  }
  await assertNoGarbage(directory, await writeAndCompact(directory, indexKey));
  t.diagnostic(`${KILLS} kills: ${acknowledged} calls acknowledged, none lost; killed during ` +
    `${JSON.stringify(tally)}; ${state.size} rows at the end; opened in ${slowest.toFixed()} ms at most`);
});
