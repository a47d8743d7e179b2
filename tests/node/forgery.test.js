// Those who hold some key of an index, or held one, and can write to its storage by hand: what they
// make up is a typed error to everyone else.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { hash, Secret } from '../../build/js/crypto.js';
import { Client, generateKey } from '../../build/js/index.js';
import { Keyring } from '../../build/js/keyring.js';
import { loadModule } from '../../build/js/loader.js';
import { manifestKey } from '../../build/js/manifest.js';
import { ObjectReader, objectKey, readBytes } from '../../build/js/object.js';
import { sealObject } from '../../build/js/seal-object.js';
import { Root } from '../../build/js/root.js';
import { sealManifest } from '../../build/js/sealed-manifest.js';
import { deriveWrap, openTable, slotsKey } from '../../build/js/slots.js';
import { IndexStore } from '../../build/js/store.js';
import { assertCode, randomVectors, toItems } from './support/oracle.js';
import { mapStorage } from './support/stores.js';

const logger = { warn() {} };
const bytes = (length, fill) => new Uint8Array(length).fill(fill);
const READER = { userId: bytes(16, 1), indexKey: bytes(32, 101) };
const WRITER = { userId: bytes(16, 2), indexKey: bytes(32, 102) };
const open = (map) => new Client({ storage: mapStorage(map), worker: false, logger });

async function filled() {
  const map = new Map();
  const indexKey = generateKey();
  const index = await open(map).createIndex({ indexName: 'test', indexKey, dimension: 2 });
  await index.upsert({ items: toItems(randomVectors(40, 2, 1)) });
  const add = ({ userId, indexKey: userKey }, permissions) =>
    index.createUserKeys({ userId, userKey, permissions });
  await add(READER, ['read']);
  await add(WRITER, ['read', 'write']);
  return { map, indexKey, index };
}

/** All that a key opens, as whoever has it can get at it. */
async function inside(map, key) {
  const core = await Core.instantiate(await loadModule(undefined));
  return IndexStore.open(core, mapStorage(map), 'test', key, { logger });
}

/** Every way to look at the index: handles that were open, and those who open it. */
async function lookersOf(map, keys) {
  const load = (key) => open(map).loadIndex({ indexName: 'test', ...key });
  const opened = await Promise.all(keys.map(load));
  const opens = opened.map((index) => () => index.count());
  return [...opens, ...keys.map((key) => async () => (await load(key)).count())];
}

const lookers = (map, indexKey) => lookersOf(map, [{ indexKey }, READER, WRITER]);

async function assertAll(looks, codes) {
  for (const look of looks) {
    const error = await look().then(() => assert.fail('the forgery is believed'), (e) => e);
    assert.ok(codes.includes(error.code), `${error.code}: ${error.stack}`);
  }
}

/** The manifest after the newest, sealed and signed with what a keyring has, and a seed. */
function nextManifestOf(store, keyring, seed, change = {}, epoch = keyring.epoch) {
  const { manifest, point, core } = store;
  const generation = manifest.generation + 1;
  const ancestors = [...manifest.ancestors, { generation: manifest.generation, hash: point.hash }];
  const forged = Object.create(keyring, {
    writerSeed: { value: seed }, keys: { value: (epoch) => keyring.keys(epoch) },
    core: { value: core }, epoch: { value: epoch },
  });
  return { generation, bytes: sealManifest(forged, store.indexId, {
    ...manifest, generation, ancestors: ancestors.slice(-64), ...change,
  }) };
}

describe('a reader who writes to the storage by hand', () => {
  test('cannot commit: a manifest they sign with a key of their own is CORRUPTED to all', async () => {
    const { map, indexKey } = await filled();
    const looks = await lookers(map, indexKey);
    const store = await inside(map, READER);
    const seed = new Secret(store.core, generateKey());
    const { generation, bytes: forged } = nextManifestOf(store, store.keyring, seed, { segments: [] });
    map.set(manifestKey(store.indexId, generation), forged);
    await assertAll(looks, ['CORRUPTED']);
  });

  test('cannot replace an object, though they can seal one under the same id and key', async () => {
    const { map, indexKey } = await filled();
    const store = await inside(map, READER);
    const [{ object }] = store.manifest.segments;
    const reader = new ObjectReader(store, object);
    const sections = [];
    for (const [at, length] of object.lengths.entries()) {
      sections.push(await readBytes(reader, at, 0, length));
    }
    const draw = crypto.getRandomValues;
    crypto.getRandomValues = (into) => {
      if (into.length !== 16) return draw.call(crypto, into);
      into.set(object.id);
      return into;
    };
    let sealed;
    try {
      sealed = store.core.withScratch((s) => sealObject(store, 'segment', sections.map(
        (bytes, at) => (
          { pointer: s.put(bytes), length: bytes.length, chunkBytes: reader.chunkBytes(at) }),
      )));
    } finally {
      crypto.getRandomValues = draw;
    }
    assert.deepEqual(sealed.ref.id, object.id);
    map.set(objectKey(store.indexId, object.id), sealed.bytes);
    const load = (key) => open(map).loadIndex({ indexName: 'test', ...key });
    for (const key of [{ indexKey }, READER, WRITER]) {
      const theirs = await load(key);
      await assertCode(theirs.query({ queryVectors: [0, 0] }), 'CORRUPTED');
      await assertCode(theirs.get({ ids: ['id1'] }), 'CORRUPTED');
    }
  });

  test('cannot give themselves rights: slots of their making open nothing for others', async () => {
    const { map, indexKey } = await filled();
    const looks = await lookers(map, indexKey);
    const store = await inside(map, READER);
    const { core, indexId } = store;
    const number = store.manifest.slots.number + 1;
    const root = Root.fresh(core);
    const own = deriveWrap(core, indexId, READER);
    root.addUser(READER.userId, 3, own.secret);
    const rootWrap = deriveWrap(core, indexId, { indexKey: generateKey(), userId: undefined });
    const table = root.seal(store, number, rootWrap);
    map.set(slotsKey(indexId, number), table);
    const keyring = new Keyring(core, openTable(core, store, number, table, own));
    const slots = { number, hash: keyring.table.hash };
    const { generation, bytes: forged } =
      nextManifestOf(store, keyring, keyring.writerSeed, { slots, segments: [] });
    map.set(manifestKey(indexId, generation), forged);
    // The reader deceives themselves alone.
    const [, deceived, , , fresh] = looks;
    for (const look of [deceived, fresh]) assert.equal(await look(), 0);
    await assertAll(looks.filter((look) => look !== deceived && look !== fresh), ['WRONG_KEY']);
  });

  test('cannot change slots that are there: any byte is a typed error to all', async () => {
    const { map, indexKey } = await filled();
    const store = await inside(map, READER);
    const key = slotsKey(store.indexId, store.manifest.slots.number);
    const table = map.get(key);
    for (let at = 0; at < table.length; at += 7) {
      map.set(key, table.map((byte, i) => (i === at ? byte ^ 1 : byte)));
      for (const who of [{ indexKey }, READER, WRITER]) {
        const error = await inside(map, who).then(() => assert.fail(`byte ${at}`), (e) => e);
        assert.match(error.code, /^(CORRUPTED|WRONG_KEY)$/);
      }
    }
  });
});

describe('a user who may write', () => {
  test('cannot shut anyone out: slots that they alter, and name in a commit, are CORRUPTED', async () => {
    const { map, indexKey } = await filled();
    const store = await inside(map, WRITER);
    const { number } = store.manifest.slots;
    const key = slotsKey(store.indexId, number);
    const whole = map.get(key);
    const rootLength = new DataView(whole.buffer).getUint32(64, true);
    // Within the root slot, and within either user's.
    for (const at of [72 + 60, 72 + rootLength + 60, whole.length - 64 - 20]) {
      const copy = new Map(map);
      const table = whole.map((byte, i) => (i === at ? byte ^ 1 : byte));
      copy.set(key, table);
      const slots = { number, hash: hash(store.core, table) };
      const forged = nextManifestOf(store, store.keyring, store.keyring.writerSeed, { slots });
      copy.set(manifestKey(store.indexId, forged.generation), forged.bytes);
      for (const who of [{ indexKey }, READER, WRITER]) {
        await assertCode(inside(copy, who), 'CORRUPTED', /signature|authentic/);
      }
    }
  });
});

describe('a commit by one who may write', () => {
  test('that is sealed in an epoch that is over, or names an object of none, is CORRUPTED', async () => {
    const { map, indexKey, index } = await filled();
    await index.deleteUserKeys({ userId: READER.userId });
    const store = await inside(map, WRITER);
    const { keyring, manifest } = store;
    assert.deepEqual([1, 2, 3].map((epoch) => keyring.holds(epoch)), [true, true, false]);
    const segments = manifest.segments.map((entry) =>
      ({ ...entry, object: { ...entry.object, epoch: 3 } }));
    for (const [change, epoch, message] of [
      [{}, 1, /not of the epoch/], [{ segments }, 2, /expired/],
      [{ slots: { ...manifest.slots, hash: bytes(32, 1) } }, 2, /other key slots/],
    ]) {
      const copy = new Map(map);
      const forged = nextManifestOf(store, keyring, keyring.writerSeed, change, epoch);
      copy.set(manifestKey(store.indexId, forged.generation), forged.bytes);
      await assertCode(inside(copy, { indexKey }), 'CORRUPTED', message);
    }
    const sound = nextManifestOf(store, keyring, keyring.writerSeed);
    map.set(manifestKey(store.indexId, sound.generation), sound.bytes);
    await inside(map, { indexKey });
  });

  test('that names sections or chunks of no valid size is CORRUPTED', async () => {
    for (const [lengths, chunkBytes] of [[2 ** 31 + 1, 4056], [100, 0], [100, 1023], [100, 32_769]]) {
      const { map, indexKey } = await filled();
      const looks = await lookers(map, indexKey);
      const store = await inside(map, WRITER);
      const [entry] = store.manifest.segments;
      const sizes = entry.object.lengths.map((length, section) => (section === 6 ? lengths : length));
      const chunks = entry.object.chunkBytes.map((size, section) => (section === 6 ? chunkBytes : size));
      const object = { ...entry.object, lengths: sizes, chunkBytes: chunks };
      const { keyring } = store;
      const { generation, bytes: forged } =
        nextManifestOf(store, keyring, keyring.writerSeed, { segments: [{ ...entry, object }] });
      map.set(manifestKey(store.indexId, generation), forged);
      await assertAll(looks, ['CORRUPTED']);
    }
  });
});

/** An index of which a writer was deleted, and the keys and objects they had before. */
async function removed() {
  const { map, indexKey, index } = await filled();
  const store = await inside(map, WRITER);
  const before = new Map(map);
  await index.deleteUserKeys({ userId: WRITER.userId });
  return { map, indexKey, index, store, before };
}

describe('a writer who was deleted, and kept their keys and the storage', () => {
  test('cannot commit under the new slots', async () => {
    const { map, indexKey, index, store } = await removed();
    const current = await inside(map, { indexKey });
    const { slots } = current.manifest;
    const looks = [
      () => index.count(), async () => (await inside(map, { indexKey })).manifest,
      async () => (await inside(map, READER)).manifest,
    ];
    const forged = nextManifestOf(current, store.keyring, store.keyring.writerSeed, { slots });
    map.set(manifestKey(store.indexId, forged.generation), forged.bytes);
    await assertAll(looks, ['CORRUPTED']);
  });

  test('cannot commit with the data keys of the new epoch either, of a reader', async () => {
    const { map, indexKey, index, store } = await removed();
    const reader = await inside(map, READER);
    assert.deepEqual([1, 2].map((epoch) => reader.keyring.holds(epoch)), [true, true]);
    const looks = await lookersOf(map, [{ indexKey }, READER]);
    const forged = nextManifestOf(reader, reader.keyring, store.keyring.writerSeed);
    map.set(manifestKey(store.indexId, forged.generation), forged.bytes);
    await assertAll([() => index.count(), ...looks], ['CORRUPTED']);
  });

  test('cannot go on from the old slots past those who know the new ones', async () => {
    const { map, indexKey, index, store, before } = await removed();
    const anchor = await index.anchor();
    const current = await inside(map, { indexKey });
    const { generation, ancestors, slots: { number } } = current.manifest;
    // All that can be known of the newest commit without its keys is right: its hash, for one.
    const old = { ...store.manifest, generation, ancestors };
    const { core, indexId } = store;
    const base = { manifest: old, point: current.point, core, indexId };
    const forged = nextManifestOf(base, store.keyring, store.keyring.writerSeed);
    map.set(manifestKey(store.indexId, forged.generation), forged.bytes);
    const oldSlots = slotsKey(store.indexId, number - 1);
    map.set(oldSlots, before.get(oldSlots));
    await assertCode(index.count(), 'ROLLED_BACK');
    await assertCode(
      open(map).loadIndex({ indexName: 'test', indexKey, anchor }), 'ROLLED_BACK',
    );
    // Whoever knows nothing of what came after cannot tell: SECURITY.md says so.
    await open(map).loadIndex({ indexName: 'test', indexKey });
  });

  test('cannot read what is written later, nor what rekey wrote', async () => {
    const { map, indexKey, index, store } = await removed();
    const known = new Set(store.manifest.segments.map(({ object }) => String(object.id)));
    const stale = { keys: () => store.keyring.keys(1), epoch: 1 };
    const theirs = { core: store.core, storage: store.storage, indexId: store.indexId };
    const readAll = async (expected) => {
      let count = 0;
      const { manifest } = await inside(map, { indexKey });
      for (const { object } of manifest.segments) {
        if (known.has(String(object.id)) && expected === 'later') continue;
        count++;
        const reader = new ObjectReader({ ...theirs, keyring: stale }, object);
        await assertCode(readBytes(reader, 2, 0, 8), 'CORRUPTED');
      }
      return count;
    };
    await index.upsert({ ids: ['later'], vectors: [[1, 1]] });
    assert.equal(await readAll('later'), 1);
    await index.rekey();
    assert.ok(await readAll('all') >= 1);
    const { keyring } = await inside(map, { indexKey });
    assert.deepEqual([1, 2, 3].map((epoch) => keyring.holds(epoch)), [false, false, true]);
  });
});

describe('whoever had the index key before it was rotated, with the old slots', () => {
  test('can neither sign slots or commits, nor read what is written later', async () => {
    const { map, indexKey, index } = await filled();
    const old = await inside(map, { indexKey });
    const newIndexKey = generateKey();
    await index.rotateIndexKey({ newIndexKey });
    await index.upsert({ ids: ['later'], vectors: [[1, 1]] });
    const now = await inside(map, { indexKey: newIndexKey });
    assert.ok(!old.keyring.holds(now.keyring.epoch));
    assert.notDeepEqual(old.keyring.table.writerPublic, now.keyring.table.writerPublic);
    const forged = nextManifestOf(now, old.keyring, old.keyring.writerSeed);
    map.set(manifestKey(old.indexId, forged.generation), forged.bytes);
    await assertCode(index.count(), 'CORRUPTED');
    await assertCode(inside(map, READER), 'CORRUPTED');
  });
});
