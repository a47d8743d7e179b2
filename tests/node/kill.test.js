// A writer of an index of 20,000 rows is killed (SIGKILL) at random moments; KILLS=500 (make kill).
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { Client } from '../../build/js/index.js';
import { KILL_KEY, makeItem, ROWS } from './support/kill-items.js';
import { random } from './support/oracle.js';

const KILLS = Number(process.env.KILLS ?? 12);
const SEED = Number(process.env.SEED ?? 20261120);
const CHILD = new URL('./support/kill-child.js', import.meta.url).pathname;

/** Runs the child until it is killed; the writes that were acknowledged, and the one that was not. */
async function runAndKill(directory, seed, first, delay) {
  const child = spawn(process.execPath, [CHILD, directory, String(seed), String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const done = [];
  let pending;
  const ended = new Promise((resolve) => { child.on('exit', (code, signal) => resolve(signal ?? code)); });
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => {
    const event = JSON.parse(line);
    if (event.ready) setTimeout(() => child.kill('SIGKILL'), delay);
    if (event.begin) pending = event;
    if (event.acknowledged === undefined) return;
    done.push(pending);
    pending = undefined;
  });
  assert.equal(await ended, 'SIGKILL', 'the child ended by itself');
  await new Promise((resolve) => { if (lines.closed) resolve(); else lines.once('close', resolve); });
  return { done, pending };
}

/** Applies a write to the model, a map from number to version. */
function apply(model, { begin, numbers = [], version }) {
  for (const number of numbers) {
    if (begin === 'upsert') model.set(number, version);
    if (begin === 'delete') model.delete(number);
  }
}

/** The versions of all numbers in the store, checked row by row. */
async function readAll(index) {
  const found = new Map();
  const { ids } = await index.listIds();
  for (const item of await index.get({ ids })) {
    const [number, version] = item.contents.split('/').map(Number);
    const expected = makeItem(number, version);
    assert.equal(item.id, expected.id);
    assert.equal(item.metadata.version, version);
    assert.deepEqual([...item.vector], expected.vector);
    found.set(number, version);
  }
  assert.equal(found.size, ids.length);
  return found;
}

const equal = (x, y) => x.size === y.size && [...x].every(([number, version]) => y.get(number) === version);

async function checkSearch(index, found, number) {
  const { vector } = makeItem(number, 3);
  const { results } = await index.query({ queryVectors: vector, topK: 5, targetRecall: 1 });
  const distance = ([n, version]) => Math.sqrt(makeItem(n, version).vector.reduce((sum, x, i) => sum + (x - vector[i]) ** 2, 0));
  const best = [...found].map(distance).sort((x, y) => x - y).slice(0, 5);
  results.forEach((result, i) => assert.ok(Math.abs(result.distance - best[i]) < 1e-9, `rank ${i}`));
}

test(`an index killed at ${KILLS} random moments opens every time with every acknowledged write in it`, async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-kill-'));
  const next = random(SEED);
  const model = new Map();
  const tally = { upsert: 0, delete: 0, train: 0, compact: 0, none: 0 };
  let acknowledged = 0;
  try {
    const maker = new Client({ storage: directory });
    const made = await maker.createIndex({ indexName: 'a', indexKey: KILL_KEY, dimension: 16 });
    const all = Array.from({ length: ROWS }, (_, number) => number);
    await made.upsert({ items: all.map((number) => makeItem(number, 0)) });
    for (const number of all) model.set(number, 0);
    await maker.close();
    let version = 1;
    for (let kill = 0; kill < KILLS; kill++) {
      const { done, pending } = await runAndKill(directory, SEED + kill, version, next() * 1200);
      for (const write of done) apply(model, write);
      acknowledged += done.length;
      version = (pending?.version ?? done.at(-1)?.version ?? version) + 1;
      tally[pending?.begin ?? 'none']++;
      const client = new Client({ storage: directory, logger: { warn() {} } });
      const index = await client.loadIndex({ indexName: 'a', indexKey: KILL_KEY });
      const found = await readAll(index);
      const after = new Map(model);
      if (pending) apply(after, pending);
      assert.ok(equal(found, model) || equal(found, after), `kill ${kill} during ${pending?.begin}: ${found.size} rows`);
      await checkSearch(index, found, Math.floor(next() * ROWS));
      await client.close();
      model.clear();
      for (const [number, its] of found) model.set(number, its);
      if (kill % 50 === 49) console.log(`# ${kill + 1} kills, ${acknowledged} writes acknowledged, none lost`);
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
  console.log(`# ${KILLS} kills (seed ${SEED}): ${acknowledged} writes acknowledged, none lost; killed during ${JSON.stringify(tally)}`);
});
