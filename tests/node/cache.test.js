// The limit of the cache is a hard one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cache } from '../../build/js/cache.js';

const entry = (log, name, bytes) => async () => ({ value: name, bytes, drop: () => log.push(name) });

test('holds no more than its limit, lets go of what was used least recently', async () => {
  const cache = new Cache(100);
  const dropped = [];
  const load = (name, bytes) => cache.load(name, entry(dropped, name, bytes), () => {
    assert.ok(cache.used <= 100);
  });
  await load('a', 40);
  await load('b', 40);
  cache.touch('a');
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
  cache.touch('first');
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
