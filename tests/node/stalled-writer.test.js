// Writers and readers that are held up at the worst moment, while others commit, merge and compact.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { IndexStore } from '../../build/js/store.js';
import { findOrphans } from '../../build/js/sweep.js';
import { apply, assertState, itemOf } from './support/model.js';
import { assertCode } from './support/oracle.js';
import { Gated, Wrapped } from './support/stores.js';

const DIMENSION = 4;
const indexKey = generateKey();
const MANIFEST = /\/manifest\/\d/;
const OBJECT = /\/object\//;
const WARNINGS = [];
const logger = { warn: (message) => WARNINGS.push(message) };

const range = (from, to) => Array.from({ length: to - from }, (_, i) => `id${from + i}`);
const items = (ids, version) => ids.map((id) => itemOf(id, version, DIMENSION));
const versions = (ids, version) => ({ put: ids.map((id) => [id, version]) });

/** Objects that the newest commit neither names nor has removed. */
async function orphans(inner) {
  const core = await Core.instantiate(await loadModule(undefined));
  const store = await IndexStore.open(core, inner, 'test', { indexKey }, { logger });
  return findOrphans(store);
}

/** One storage, and two processes on it: `slow`, which can be held up, and `fast`. */
async function twoWriters(rows = 40) {
  const inner = memoryStorage();
  const gated = new Gated(inner);
  const options = { worker: false, minTrainVectors: 20, logger };
  const slowClient = new Client({ storage: gated, ...options });
  const gatedFast = new Gated(inner);
  const fastClient = new Client({ storage: gatedFast, ...options });
  const slow = await slowClient.createIndex({ indexName: 'test', indexKey, dimension: DIMENSION });
  await slow.upsert({ items: items(range(0, rows), 1) });
  const load = (client) => client.loadIndex({ indexName: 'test', indexKey });
  const fast = await load(fastClient);
  const check = async (state) => {
    const client = new Client({ storage: new Wrapped(inner), ...options });
    await assertState(await load(client), state, DIMENSION);
    await assertState(slow, state, DIMENSION);
    await assertState(fast, state, DIMENSION);
    assert.deepEqual(await orphans(inner), [], 'nothing is left that no commit names or removes');
  };
  const state = apply(new Map(), versions(range(0, rows), 1));
  return { inner, gated, gatedFast, slow, fast, fastClient, state, check };
}

/** Commits that leave nothing of the first ones: merged, compacted, collected. */
async function commitMany(index, count = 40) {
  const ids = [];
  for (let i = 0; i < count; i++) {
    ids.push(`other${i}`);
    await index.upsert({ items: items([`other${i}`], 9) });
  }
  await index.compact();
  return versions(ids, 9);
}

describe('a writer that is held up before its manifest is written', () => {
  test('writes again what others took for orphans, and loses nothing', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    const gate = gated.hold('create', MANIFEST);
    const writing = slow.upsert({ items: items(range(35, 45), 2) });
    await gate.arrived;
    const others = await commitMany(fast);
    gate.open();
    await writing;
    await check(apply(apply(state, others), versions(range(35, 45), 2)));
  });

  test('does not bring back what others deleted meanwhile', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    const gate = gated.hold('create', MANIFEST);
    const writing = slow.upsert({ items: items(['new'], 2) });
    await gate.arrived;
    await fast.delete({ ids: range(0, 20) });
    await fast.compact();
    gate.open();
    await writing;
    await check(apply(apply(state, { drop: range(0, 20) }), versions(['new'], 2)));
  });

  test('never shows an older state to those who open the index meanwhile', async () => {
    const { inner, gated, slow, fast, state } = await twoWriters();
    const before = gated.hold('create', MANIFEST);
    const after = gated.hold('list', /\/manifest\//);
    const writing = slow.upsert({ items: items(['new'], 2) });
    // Past the look at the newest commit that comes first.
    await after.arrived;
    after.open();
    await before.arrived;
    const others = await commitMany(fast);
    const stale = gated.hold('list', /\/manifest\//);
    before.open();
    await stale.arrived;
    const manifests = (await inner.list('')).filter((key) => MANIFEST.test(key));
    assert.equal(manifests.length, 2, 'the number that was used before is there again');
    const client = new Client({ storage: new Wrapped(inner), logger });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    await assertState(index, apply(state, others), DIMENSION);
    stale.open();
    await writing;
  });

  test('keeps deletes atomic when it has to try again', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(600);
    const gate = gated.hold('create', MANIFEST);
    // So many that their tombstones are an object of their own.
    const deleting = slow.delete({ ids: range(0, 290) });
    await gate.arrived;
    await fast.upsert({ items: items(range(280, 300), 3) });
    gate.open();
    assert.equal((await deleting).count, 290);
    const between = apply(state, versions(range(280, 300), 3));
    await check(apply(between, { drop: range(0, 290) }));
  });

  test('never writes past a commit that only its readers have seen', async () => {
    const { inner, gated, slow, fast, state, check } = await twoWriters();
    // In the midst of finding out where the rows are.
    const building = gated.hold('read', OBJECT);
    const deleting = slow.delete({ ids: range(0, 5) });
    await building.arrived;
    await fast.upsert({ items: items(['other'], 2) });
    assert.equal(await slow.count(), state.size + 1);
    const after = gated.hold('list', /\/manifest\//);
    building.open();
    await after.arrived;
    const client = new Client({ storage: new Wrapped(inner), logger });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    const others = apply(state, versions(['other'], 2));
    await assertState(index, others, DIMENSION);
    // Whoever builds on what is there now must find it in place.
    await index.upsert({ items: items(['third'], 3) });
    after.open();
    await deleting;
    await check(apply(apply(others, versions(['third'], 3)), { drop: range(0, 5) }));
  });
});

describe('a writer that is held up after its manifest was written', () => {
  test('does not repeat what others have undone since', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    const gate = gated.hold('create', MANIFEST, 'after');
    const writing = slow.upsert({ items: items(range(0, 10), 2) });
    await gate.arrived;
    await fast.delete({ ids: range(0, 5) });
    await fast.upsert({ items: items(range(5, 10), 3) });
    const others = await commitMany(fast);
    gate.open();
    await writing;
    const expected = apply(apply(state, { drop: range(0, 5) }), versions(range(5, 10), 3));
    await check(apply(expected, others));
  });

  test('leaves alone what later commits name', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(600);
    const gate = gated.hold('create', MANIFEST, 'after');
    const deleting = slow.delete({ ids: range(0, 290) });
    await gate.arrived;
    // Two commits, so that the one that was held up is collected.
    await fast.upsert({ items: items(['a'], 2) });
    await fast.upsert({ items: items(['b'], 2) });
    gate.open();
    assert.equal((await deleting).count, 290);
    await check(apply(apply(state, { drop: range(0, 290) }), versions(['a', 'b'], 2)));
  });

  test('succeeds after more commits of one other than a manifest remembers writers', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    const gate = gated.hold('create', MANIFEST, 'after');
    const writing = slow.upsert({ items: items(['new'], 2) });
    await gate.arrived;
    const others = await commitMany(fast, 200);
    gate.open();
    await writing;
    await check(apply(apply(state, versions(['new'], 2)), others));
  });

  test('says so when so many writers came that nobody knows', async () => {
    const { gated, slow, fastClient, state, check } = await twoWriters();
    const gate = gated.hold('create', MANIFEST, 'after');
    const writing = slow.upsert({ items: items(['new'], 2) });
    writing.catch(() => undefined);
    await gate.arrived;
    const ids = range(100, 140);
    for (const id of ids) {
      const index = await fastClient.loadIndex({ indexName: 'test', indexKey });
      await index.upsert({ items: items([id], 3) });
      await index.close();
    }
    gate.open();
    await assertCode(writing, 'CONFLICT', /whether it took effect/);
    await check(apply(apply(state, versions(['new'], 2)), versions(ids, 3)));
  });
});

describe('compact', () => {
  test('spares an orphan that was named since it was found', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    await slow.upsert({ items: items(['seed'], 1) });
    await slow.compact();
    // `fast` has its rows written, `slow` lists them as an orphan, `fast` commits.
    const other = new Gated(gated.inner);
    const client = new Client({ storage: other, logger });
    const writer = await client.loadIndex({ indexName: 'test', indexKey });
    const naming = other.hold('create', MANIFEST);
    const writing = writer.upsert({ items: items(['named'], 2) });
    await naming.arrived;
    const condemning = gated.hold('create', MANIFEST);
    const compacting = slow.compact();
    await condemning.arrived;
    naming.open();
    await writing;
    condemning.open();
    await compacting;
    await slow.compact();
    await fast.compact();
    await check(apply(state, { put: [['seed', 1], ['named', 2]] }));
  });

  test('makes a writer of the same moment write again, whatever its handle has seen', async () => {
    const { gated, slow, fast, state, check } = await twoWriters();
    const gate = gated.hold('create', OBJECT, 'after');
    const writing = slow.upsert({ items: items(['new'], 2) });
    await gate.arrived;
    await fast.upsert({ items: items(['other'], 2) });
    await fast.compact();
    // Now the commit that condemned its rows is the newest that the slow handle knows.
    assert.equal(await slow.count(), state.size + 1);
    gate.open();
    await writing;
    await slow.compact();
    await check(apply(state, { put: [['new', 2], ['other', 2]] }));
  });

  test('collects what a dead writer left, in one call', async () => {
    const { inner, gated, slow, fast, state } = await twoWriters();
    const gate = gated.hold('create', MANIFEST);
    void slow.upsert({ items: items(range(0, 30), 2) });
    await gate.arrived;
    const objects = async () => (await inner.list('')).filter((key) => OBJECT.test(key)).length;
    assert.equal(await objects(), 2);
    await fast.compact();
    assert.equal(await objects(), 1);
    assert.equal(await fast.count(), state.size);
  });
});

describe('a reader', () => {
  test('on an old commit goes on while another process rewrites all of it', async () => {
    const { gated, fast, state, check } = await twoWriters(500);
    const client = new Client({ storage: gated, logger, cacheBytes: 0 });
    const reader = await client.loadIndex({ indexName: 'test', indexKey });
    const gate = gated.hold('read', OBJECT);
    const reading = reader.get({ ids: range(0, 500) });
    await gate.arrived;
    await fast.upsert({ items: items(range(0, 250), 2) });
    const others = await commitMany(fast);
    gate.open();
    const got = await reading;
    assert.equal(got.length, 500);
    const changed = apply(state, versions(range(0, 250), 2));
    const reads = (one) => got.every(({ id, metadata }) => metadata.version === one.get(id));
    assert.ok(reads(state) || reads(changed), 'one commit, not a mixture');
    await check(apply(changed, others));
  });

  test('answers from one commit through a hundred commits of others', async () => {
    const { inner, fast, state } = await twoWriters(300);
    const client = new Client({ storage: new Wrapped(inner), logger, cacheBytes: 4096 });
    const reader = await client.loadIndex({ indexName: 'test', indexKey });
    let writing = true;
    const writer = (async () => {
      for (let version = 2; version < 40; version++) {
        await fast.upsert({ items: items(range(0, 300), version) });
        if (version % 5 === 0) await fast.compact();
      }
      writing = false;
    })();
    let rounds = 0;
    let least = 1;
    while (writing) {
      const got = await reader.get({ ids: range(0, 300), include: ['metadata', 'vector'] });
      assert.equal(got.length, 300);
      const [{ metadata: { version } }] = got;
      for (const { id, metadata, vector } of got) {
        assert.equal(metadata.version, version, 'all of one commit');
        assert.deepEqual(vector, itemOf(id, version, DIMENSION).vector);
      }
      assert.ok(version >= least, 'never back in time');
      least = version;
      const { ids } = await reader.listIds();
      assert.equal(ids.length, 300);
      rounds++;
    }
    await writer;
    assert.ok(rounds > 3 && state.size === 300);
  });
});

describe('an index that is removed while a writer is held up', () => {
  for (const [where, pattern] of [['before', MANIFEST], ['after', MANIFEST], ['before', OBJECT]]) {
    test(`is gone, with all that the writer wrote (${where} ${pattern.source})`, async () => {
      const { inner, gated, slow, fast } = await twoWriters();
      const gate = gated.hold('create', pattern, where);
      const writing = slow.upsert({ items: items(['new'], 2) });
      writing.catch(() => undefined);
      await gate.arrived;
      await fast.deleteIndex();
      gate.open();
      await assertCode(writing, 'NOT_FOUND');
      await assertCode(slow.get({ ids: ['id1'] }), 'NOT_FOUND');
      assert.deepEqual(await inner.list(''), []);
    });
  }

  test('is gone, with all that it wrote, even while the removal is held up itself', async () => {
    const { inner, gated, gatedFast, slow, fast } = await twoWriters();
    const gate = gated.hold('create', MANIFEST);
    const writing = slow.upsert({ items: items(['new'], 2) });
    writing.catch(() => undefined);
    await gate.arrived;
    const deleting = gatedFast.hold('delete', OBJECT);
    const removing = fast.deleteIndex();
    await deleting.arrived;
    gate.open();
    await assertCode(writing, 'NOT_FOUND');
    deleting.open();
    await removing;
    assert.deepEqual(await inner.list(''), []);
  });

  test('is not found by anyone once its removal has begun, and can be made anew', async () => {
    const { inner, gated, slow, fast } = await twoWriters();
    const gate = gated.hold('delete', OBJECT);
    const removing = slow.deleteIndex();
    await gate.arrived;
    await assertCode(fast.upsert({ items: items(['x'], 2) }), 'NOT_FOUND');
    const client = new Client({ storage: new Wrapped(inner), logger });
    await assertCode(client.loadIndex({ indexName: 'test', indexKey }), 'NOT_FOUND');
    const anew = await client.createIndex({ indexName: 'test', indexKey, dimension: DIMENSION });
    await anew.upsert({ items: items(['x'], 3) });
    gate.open();
    await removing;
    await assertState(anew, new Map([['x', 3]]), DIMENSION);
  });
});

describe('a torn manifest', () => {
  /** Writes the first part of a manifest, which is what a crash can leave on some file systems. */
  async function tear(inner) {
    const newest = (await inner.list('')).filter((key) => MANIFEST.test(key)).sort().at(-1);
    const bytes = await inner.read(newest);
    const number = Number(newest.slice(-16)) + 1;
    const key = newest.slice(0, -16) + String(number).padStart(16, '0');
    await inner.create(key, bytes.slice(0, 100));
    return key;
  }

  test('is stepped over by handles that are open and by new ones, which say so', async () => {
    const { inner, slow, fast, state, check } = await twoWriters();
    await tear(inner);
    WARNINGS.length = 0;
    const client = new Client({ storage: new Wrapped(inner), logger });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    assert.equal((await index.stats()).recovered, true);
    assert.equal(WARNINGS.length, 1);
    assert.match(WARNINGS[0], /is torn/);
    await slow.upsert({ items: items(['a'], 2) });
    assert.equal((await index.stats()).recovered, false);
    await fast.delete({ ids: ['id0'] });
    await check(apply(apply(state, versions(['a'], 2)), { drop: ['id0'] }));
  });

  test('on top of another one is stepped over too', async () => {
    const { inner, slow, state, check } = await twoWriters();
    await tear(inner);
    await tear(inner).then((key) => assert.ok(key));
    await slow.upsert({ items: items(['a'], 2) });
    await check(apply(state, versions(['a'], 2)));
  });

  test('that is only being written still is waited for', async () => {
    const { inner, state } = await twoWriters();
    const manifests = async () =>
      (await inner.list('')).filter((key) => MANIFEST.test(key)).sort();
    const [before] = await manifests();
    const old = await inner.read(before);
    const client = new Client({ storage: new Wrapped(inner), logger });
    const index = await client.loadIndex({ indexName: 'test', indexKey });
    await index.upsert({ items: items(['a'], 2) });
    const [after] = await manifests();
    const whole = await inner.read(after);
    await inner.delete([after]);
    await inner.create(before, old);
    await inner.create(after, whole.slice(0, 50));
    const opening = client.loadIndex({ indexName: 'test', indexKey });
    setTimeout(async () => {
      await inner.delete([after]);
      await inner.create(after, whole);
    }, 120);
    await assertState(await opening, apply(state, versions(['a'], 2)), DIMENSION);
  });

  test('never stands for a commit that was acknowledged', async () => {
    const { inner } = await twoWriters();
    const key = (await inner.list('')).find((one) => MANIFEST.test(one));
    const bytes = await inner.read(key);
    await inner.delete([key]);
    await inner.create(key, bytes.slice(0, -1));
    const client = new Client({ storage: new Wrapped(inner), logger });
    await assertCode(client.loadIndex({ indexName: 'test', indexKey }), 'CORRUPTED', /cut short/);
  });
});

describe('training', () => {
  test('again finds the rows that came last, which were in lists of before', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(200);
    await slow.train({ nLists: 4, seed: 1 });
    const gate = gated.hold('create', MANIFEST);
    const training = slow.train({ nLists: 8, seed: 2 });
    await gate.arrived;
    // Too late to be assigned: these are put into the lists of before, and read there.
    await fast.upsert({ items: items(range(200, 230), 2) });
    const expected = apply(state, versions(range(200, 230), 2));
    await assertState(slow, expected, DIMENSION);
    // A reader that stays on that commit, where the same rows lie in other blocks.
    const reading = gated.hold('read', OBJECT);
    const filters = { version: { $gte: 0 } };
    const query = slow.query({ queryVectors: [0, 0, 0, 0], topK: 300, filters });
    await reading.arrived;
    gate.open();
    assert.equal((await training).nLists, 8);
    await assertState(slow, expected, DIMENSION);
    reading.open();
    assert.equal((await query).results.length, 230);
    await check(expected);
  });

  test('goes on when only the tombstones of what it reads were replaced', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(700);
    await fast.delete({ ids: range(0, 260) });
    const gate = gated.hold('read', OBJECT);
    const training = slow.train({ nLists: 4, seed: 1 });
    await gate.arrived;
    await fast.delete({ ids: range(260, 280) });
    await fast.delete({ ids: range(280, 300) });
    await fast.delete({ ids: range(300, 320) });
    gate.open();
    assert.equal((await training).nLists, 4);
    await check(apply(state, { drop: range(0, 320) }));
  });

  test('is done again where compaction took its work for orphans', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(300);
    const gate = gated.hold('create', MANIFEST);
    const training = slow.train({ nLists: 4, seed: 1 });
    await gate.arrived;
    const others = await commitMany(fast, 3);
    gate.open();
    assert.equal((await training).nLists, 4);
    await check(apply(state, others));
    const objects = (await gated.inner.list('')).filter((key) => OBJECT.test(key));
    await slow.compact();
    assert.ok(objects.length < 10);
  });

  test('that is done again takes only rows that are still alive', async () => {
    const { gated, gatedFast, slow, fast, state, check } = await twoWriters(300);
    const written = gated.hold('create', OBJECT, 'after');
    const training = slow.train({ nLists: 4, seed: 1, batchSize: 200 });
    await written.arrived;
    // Takes what training wrote for orphans; meanwhile some rows are written anew.
    const condemning = gatedFast.hold('create', MANIFEST);
    const compacting = fast.compact();
    await condemning.arrived;
    await slow.upsert({ items: items(range(200, 300), 2) });
    const committing = gated.hold('create', MANIFEST);
    written.open();
    await committing.arrived;
    condemning.open();
    await compacting;
    committing.open();
    assert.equal((await training).assigned, 300);
    await check(apply(state, versions(range(200, 300), 2)));
  });

  test('goes on while another process rewrites, deletes and compacts what it reads', async () => {
    const { gated, slow, fast, state, check } = await twoWriters(400);
    const gate = gated.hold('create', OBJECT);
    const training = slow.train({ nLists: 4, seed: 1, batchSize: 100 });
    await gate.arrived;
    await fast.delete({ ids: range(0, 150) });
    await fast.upsert({ items: items(range(140, 180), 2) });
    const others = await commitMany(fast);
    gate.open();
    const { nLists } = await training;
    assert.equal(nLists, 4);
    const expected = apply(apply(state, { drop: range(0, 150) }), versions(range(140, 180), 2));
    await check(apply(expected, others));
  });
});
