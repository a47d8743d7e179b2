// The limit of the cache is a hard one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache } from '../../build/js/cache.js';
import { Entry } from '../../build/js/cache-entry.js';
import { Core } from '../../build/js/core.js';
import { loadModule } from '../../build/js/loader.js';
import { NearRows } from '../../build/js/near-rows.js';
import { random } from './support/oracle.js';

const module = await loadModule(undefined);

const entryOf = (log, name, bytes) => new Entry(name, bytes, () => log.push(name));
const entry = (...of) => async () => entryOf(...of);

test('holds no more than its limit, lets go of what was used least recently', async () => {
  const cache = new Cache(100);
  const dropped = [];
  const load = (name, bytes) => cache.load(name, entry(dropped, name, bytes), () => {
    assert.ok(cache.used <= 100);
  });
  await load('a', 40);
  await load('b', 40);
  cache.find('a');
  await load('c', 40);
  assert.deepEqual(dropped, ['b']);
  await load('d', 101);
  assert.deepEqual(dropped.at(-1), 'd', 'what cannot be kept is used and dropped');
  assert.ok(cache.used <= 100);
});

test('lets those who hold it make room, and drops what is over the limit behind them', async () => {
  const cache = new Cache(100);
  const dropped = [];
  await cache.load('a', entry(dropped, 'a', 60), () => undefined);
  await cache.hold(async () => {
    cache.makeRoom(70);
    assert.deepEqual(dropped, ['a']);
    await cache.load('b', entry(dropped, 'b', 70), () => undefined, 'must');
    await cache.load('c', entry(dropped, 'c', 50), () => undefined);
    assert.deepEqual(dropped, ['a', 'c'], 'others find no room meanwhile');
    await cache.load('d', entry(dropped, 'd', 120), () => undefined, 'must');
    assert.equal(cache.used, 190);
  });
  assert.deepEqual(dropped.slice(2), ['b', 'd']);
  assert.equal(cache.used, 0);
});

test('lets go of what is kept briefly before all else, however lately it was used', async () => {
  const cache = new Cache(100);
  const dropped = [];
  const load = (name, bytes, keep) =>
    cache.load(name, entry(dropped, name, bytes), () => undefined, keep);
  await load('codes', 50, 'must');
  await load('first', 20, 'briefly');
  await load('second', 20, 'briefly');
  cache.find('first');
  await load('third', 20, 'briefly');
  assert.deepEqual(dropped, ['second']);
  await load('more codes', 40, 'must');
  assert.deepEqual(dropped, ['second', 'first', 'third']);
  await load('fourth', 20, 'briefly');
  assert.deepEqual(dropped.slice(3), ['codes'], 'then what was used least recently');
  cache.close();
  assert.equal(cache.used, 0);
  assert.deepEqual(dropped.slice(4).sort(), ['fourth', 'more codes']);
});

test('lets go in the order of the last uses, whatever they were', () => {
  const next = random(5);
  for (let round = 0; round < 50; round++) {
    const cache = new Cache(20);
    const dropped = [];
    const entries = Array.from({ length: 20 }, (_, i) => entryOf(dropped, i, 1));
    entries.forEach((one, i) => cache.put(String(i), one));
    const used = entries.map(({ value }) => value);
    for (let i = 0; i < 60; i++) {
      const one = Math.floor(next() * 20);
      if (next() < 0.5) cache.touch(entries[one]);
      else cache.find(String(one));
      used.push(...used.splice(used.indexOf(one), 1));
    }
    const most = Math.floor(next() * 21);
    cache.makeRoom(most);
    assert.deepEqual(dropped, used.slice(0, most));
    // What is gone cannot be touched back.
    entries.forEach((one) => cache.touch(one));
    assert.equal(cache.used, 20 - most);
    cache.makeRoom(20);
    assert.equal(cache.used, 0);
    assert.deepEqual([...dropped].sort(), entries.map(({ value }) => value).sort());
  }
});

test('gives what is briefly kept only the room of its like', async () => {
  const cache = new Cache(100);
  const dropped = [];
  const briefly = (name, bytes) => cache.putBriefly(name, entryOf(dropped, name, bytes));
  assert.ok(cache.put('codes', entryOf(dropped, 'codes', 60)));
  assert.ok(briefly('a', 20));
  assert.ok(briefly('b', 20));
  assert.equal(briefly('b', 0), false, 'one of a name');
  assert.equal(cache.hasRoom(10), false);
  assert.equal(briefly('c', 10), false);
  assert.equal(cache.briefRoom, 40);
  assert.equal(cache.makeRoomBriefly(41), false);
  assert.deepEqual(dropped, []);
  assert.ok(cache.makeRoomBriefly(10));
  assert.deepEqual(dropped, ['a']);
  assert.ok(briefly('c', 20));
  await cache.hold(async () => {
    assert.equal(cache.makeRoomBriefly(10), false, 'not while others hold the cache');
  });
  cache.close();
  assert.equal(briefly('d', 1), false);
  assert.equal(cache.used, 0);
});

const ROWS = 400;
const FLOATS = 8;

/** Rows behind a cache, and which of them were read each time. */
async function rowsBehind(limit) {
  const core = await Core.instantiate(module);
  const cache = new Cache(limit);
  const scope = cache.scope();
  const reads = [];
  const valueOf = (row) => new Float32Array(FLOATS).fill(row + 1);
  const near = new NearRows(core, scope, ROWS, FLOATS * 4, async (rows, pointers) => {
    reads.push([...rows]);
    rows.forEach((row, i) => core.write(pointers[i], valueOf(row)));
  });
  const open = async (...rows) => {
    const out = core.alloc(rows.length * FLOATS * 4);
    await near.open(rows, rows.map((_, i) => out + i * FLOATS * 4));
    rows.forEach((row, i) =>
      assert.deepEqual(core.floats(out + i * FLOATS * 4, FLOATS), valueOf(row)));
    assert.ok(cache.used <= limit);
    core.release(out, rows.length * FLOATS * 4);
    return reads.splice(0).flat();
  };
  return { cache, scope, open };
}

test('keeps single rows while there is room, others for those read again', async () => {
  const { cache, scope, open } = await rowsBehind(4 * FLOATS * 4);
  assert.deepEqual(await open(1, 2, 3, 4), [1, 2, 3, 4]);
  assert.deepEqual(await open(4, 2, 3, 1), []);
  assert.deepEqual(await open(5, 4), [5], 'read once, and no room');
  assert.deepEqual(await open(5), [5], 'kept for it is read again, in place of 2');
  assert.deepEqual(await open(5, 1, 3, 4), []);
  assert.deepEqual(await open(2), [2]);
  // So many others that the first reading is forgotten.
  for (let row = 20; row < 32; row++) assert.deepEqual(await open(row), [row]);
  assert.deepEqual(await open(2), [2]);
  assert.deepEqual(await open(5, 1, 3, 4), []);
  assert.deepEqual(await open(2), [2]);
  assert.deepEqual(await open(2), []);
  scope.close();
  assert.equal(cache.used, 0);
  assert.deepEqual(await open(2), [2], 'and none once their owner is gone');
});

test('has rows right whatever is asked for, at any limit', async () => {
  const next = random(6);
  for (const limit of [0, 31, 32, 1000, 5000, Infinity]) {
    const { cache, open } = await rowsBehind(limit);
    let read = 0;
    for (let i = 0; i < 300; i++) {
      const rows = Array.from({ length: 1 + i % 9 }, () => Math.floor(next() ** 3 * ROWS));
      read += (await open(...rows)).length;
    }
    if (limit < 32) assert.equal(read, 1491);
    if (limit === Infinity) assert.ok(read <= ROWS);
    cache.close();
    assert.equal(cache.used, 0);
  }
});
