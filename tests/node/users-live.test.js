// Keys that change while others are at work: on the same handle, on others, and under keys that are
// given call by call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Core } from '../../build/js/core.js';
import { exposed } from '../../build/js/crypto.js';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { loadModule } from '../../build/js/loader.js';
import { deriveWrap } from '../../build/js/slots.js';
import { itemOf } from './support/model.js';
import { assertCode } from './support/oracle.js';
import { Gated, Wrapped } from './support/stores.js';

const DIMENSION = 4;
const SILENT = { warn() {} };
const MANIFEST = /\/manifest\/\d/;
const user = (n) => ({ userId: new Uint8Array(16).fill(n), userKey: new Uint8Array(32).fill(n) });
const asKey = ({ userId, userKey }) => ({ userId, indexKey: userKey });
const items = (from, to, version = 1) =>
  Array.from({ length: to - from }, (_, i) => itemOf(`id${from + i}`, version, DIMENSION));
const open = (storage) =>
  new Client({ storage, worker: false, minTrainVectors: 20, logger: SILENT });

async function filled(rows = 60) {
  const storage = memoryStorage();
  const indexKey = generateKey();
  const index = await open(storage).createIndex({ indexName: 't', indexKey, dimension: DIMENSION });
  for (let at = 0; at < rows; at += 20) await index.upsert({ items: items(at, at + 20) });
  const load = (key = { indexKey }, inner = new Wrapped(storage)) =>
    open(inner).loadIndex({ indexName: 't', ...key });
  return { storage, indexKey, index, load };
}

/** The epochs that the objects in a storage were sealed in, each once. */
async function epochsOf(storage) {
  const keys = (await storage.list('data/')).filter((key) => key.includes('/object/'));
  const heads = await Promise.all(keys.map((key) => storage.read(key)));
  return [...new Set(heads.map((bytes) => Buffer.from(bytes).readUInt32LE(48)))].sort();
}

describe('a write under way', () => {
  test('is sealed anew when a user is deleted before it is committed', async () => {
    const { storage, index, indexKey, load } = await filled(0);
    await index.createUserKeys({ ...user(1), permissions: ['read', 'write'] });
    const gated = new Gated(storage);
    const slow = await load({ indexKey }, gated);
    const gate = gated.hold('create', MANIFEST);
    const writing = slow.upsert({ items: items(0, 5) });
    await gate.arrived;
    await index.deleteUserKeys({ userId: user(1).userId });
    gate.open();
    await writing;
    assert.equal(await index.count(), 5);
    assert.deepEqual(await epochsOf(storage), [2], 'nothing is left in the old epoch');
  });

  test('of the user who is deleted is refused, and leaves nothing', async () => {
    const { storage, index, load } = await filled(20);
    await index.createUserKeys({ ...user(1), permissions: ['read', 'write'] });
    const gated = new Gated(storage);
    const theirs = await load(asKey(user(1)), gated);
    const gate = gated.hold('create', MANIFEST);
    const writing = theirs.upsert({ items: items(50, 55) });
    writing.catch(() => undefined);
    await gate.arrived;
    await index.deleteUserKeys({ userId: user(1).userId });
    gate.open();
    await assertCode(writing, 'WRONG_KEY');
    assert.equal(await index.count(), 20);
    assert.equal((await index.compact()).storedBytes, (await index.stats()).storedBytes);
    assert.deepEqual((await index.get({ ids: ['id50'] })), []);
  });

  test('goes on when the user who makes it keeps their rights', async () => {
    const { storage, index, load } = await filled(20);
    for (const n of [1, 2]) await index.createUserKeys({ ...user(n), permissions: ['read', 'write'] });
    const gated = new Gated(storage);
    const theirs = await load(asKey(user(1)), gated);
    let version = 2;
    for (const change of [
      () => index.deleteUserKeys({ userId: user(2).userId }),
      () => index.rotateIndexKey({ newIndexKey: generateKey() }),
      () => index.rekey(),
    ]) {
      const gate = gated.hold('create', MANIFEST);
      const writing = theirs.upsert({ items: items(50, 55, version) });
      await gate.arrived;
      await change();
      gate.open();
      await writing;
      // It looks at once, where other reads do every quarter of a second.
      assert.equal(await index.count(), 25);
      const [{ metadata }] = await index.get({ ids: ['id52'] });
      assert.equal(metadata.version, version++);
    }
  });
});

describe('two who change keys at once', () => {
  test('both have their way, one after the other', async () => {
    const { storage, index, indexKey, load } = await filled(20);
    const gated = new Gated(storage);
    const slow = await load({ indexKey }, gated);
    const gate = gated.hold('create', MANIFEST);
    const creating = slow.createUserKeys({ ...user(1), permissions: ['read'] });
    await gate.arrived;
    await index.createUserKeys({ ...user(2), permissions: ['read'] });
    await index.createUserKeys({ ...user(3), permissions: ['read'] });
    await index.deleteUserKeys({ userId: user(3).userId });
    gate.open();
    await creating;
    const users = (await index.listUserKeys()).map(({ userId }) => userId[0]);
    assert.deepEqual(users.sort(), [1, 2]);
    for (const n of [1, 2]) assert.equal(await (await load(asKey(user(n)))).count(), 20);
    assert.equal((await storage.list('data/')).filter((key) => /slots/.test(key)).length, 1);
  });

  test('of two who make the same user, or rotate the key, the later one is refused', async () => {
    for (const [call, code] of [
      [(one) => one.createUserKeys({ ...user(1), permissions: ['read'] }), 'ALREADY_EXISTS'],
      [(one) => one.rotateIndexKey({ newIndexKey: generateKey() }), 'WRONG_KEY'],
    ]) {
      const { storage, index, indexKey, load } = await filled(20);
      const gated = new Gated(storage);
      const slow = await load({ indexKey }, gated);
      const gate = gated.hold('create', MANIFEST);
      const second = call(slow);
      second.catch(() => undefined);
      await gate.arrived;
      await call(index);
      gate.open();
      await assertCode(second, code);
      assert.equal(await index.count(), 20);
      assert.equal((await storage.list('data/')).filter((key) => /slots/.test(key)).length, 1);
    }
  });
});

describe('rotateIndexKey', () => {
  for (const where of ['before', 'after']) {
    test(`that fails ${where} it took effect leaves its handle in working order`, async () => {
      const { storage, index, indexKey } = await filled(20);
      await index.close();
      const failing = new Wrapped(storage);
      const handle = await open(failing).loadIndex({ indexName: 't', indexKey });
      const { create } = failing;
      failing.create = async (key, bytes) => {
        if (!MANIFEST.test(key)) return storage.create(key, bytes);
        failing.create = create;
        if (where === 'after') await storage.create(key, bytes);
        throw Object.assign(new Error('input/output error'), { code: 'EIO' });
      };
      const [second, third] = [generateKey(), generateKey()];
      await assertCode(handle.rotateIndexKey({ newIndexKey: second }), 'STORAGE');
      assert.equal(await handle.count(), 20);
      await handle.upsert({ items: items(20, 25) });
      const load = (key) => open(new Wrapped(storage)).loadIndex({ indexName: 't', indexKey: key });
      const [inForce, other] = where === 'after' ? [second, indexKey] : [indexKey, second];
      assert.equal(await (await load(inForce)).count(), 25);
      await assertCode(load(other), 'WRONG_KEY');
      await handle.createUserKeys({ ...user(1), permissions: ['read'] });
      assert.equal(await (await load(inForce)).count(), 25);
      await handle.rotateIndexKey({ newIndexKey: third });
      assert.equal(await (await load(third)).count(), 25);
      for (const key of [indexKey, second]) await assertCode(load(key), 'WRONG_KEY');
    });
  }
});

describe('rekey', () => {
  test('lets a read finish that had its bytes before their key was dropped', async () => {
    const { storage, index, indexKey, load } = await filled(20);
    await index.createUserKeys({ ...user(1), permissions: ['read'] });
    await index.deleteUserKeys({ userId: user(1).userId });
    const gated = new Gated(storage);
    const slow = await load({ indexKey }, gated);
    const query = { queryVectors: itemOf('id3', 1, DIMENSION).vector, topK: 1 };
    const reads = [gated.hold('read', /object/, 'after'), gated.hold('read', /object/, 'after')];
    const running = slow.query(query);
    // The first read is of the table of hashes, the second of vectors.
    await reads[0].arrived;
    reads[0].open();
    await reads[1].arrived;
    await index.rekey();
    assert.equal(await slow.count(), 20);
    reads[1].open();
    assert.equal((await running).results[0].id, 'id3');
  });


  test('answers queries and takes writes meanwhile, on the same handle and on others', async () => {
    const { storage, index, indexKey, load } = await filled(400);
    await index.createUserKeys({ ...user(1), permissions: ['read', 'write'] });
    await index.train({ nLists: 4, seed: 1 });
    const other = await load({ indexKey });
    const theirs = await load(asKey(user(1)));
    let done = false;
    const rekeying = index.rekey().finally(() => { done = true; });
    let [rounds, version] = [0, 2];
    while (!done || rounds < 3) {
      rounds++;
      for (const handle of [index, other, theirs]) {
        await handle.upsert({ items: items(0, 3, version) });
        const [{ metadata }] = await handle.get({ ids: ['id1'] });
        assert.equal(metadata.version, version++);
        const query = { queryVectors: itemOf('id30', 1, DIMENSION).vector, topK: 1, nProbes: 4 };
        assert.equal((await handle.query(query)).results[0].id, 'id30');
      }
    }
    await rekeying;
    for (const handle of [index, other, theirs]) assert.equal(await handle.count(), 400);
    await index.compact();
    assert.deepEqual(await epochsOf(storage), [2]);
  });

  test('ended by its signal rejects with the reason, and goes on when called again', async () => {
    const { storage, index } = await filled(100);
    await index.train({ nLists: 4, seed: 1 });
    const ending = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ fraction }) => { if (fraction > 0) ending.abort(reason); };
    await assert.rejects(index.rekey({ onProgress, signal: ending.signal }), (e) => e === reason);
    assert.equal(await index.count(), 100);
    const query = { queryVectors: itemOf('id30', 1, DIMENSION).vector, topK: 1, nProbes: 4 };
    assert.equal((await index.query(query)).results[0].id, 'id30');
    assert.ok((await epochsOf(storage)).includes(2));
    await index.rekey();
    assert.deepEqual(await epochsOf(storage), [2], 'the epoch that was begun is the one it ends in');
    await index.rekey();
    assert.deepEqual(await epochsOf(storage), [3]);
    assert.equal((await index.query(query)).results[0].id, 'id30');
  });

  test('costs an index that nobody writes to no more than its bytes', async () => {
    const { storage, index } = await filled(200);
    await index.compact();
    const { storedBytes } = await index.stats();
    await index.rekey();
    assert.equal((await index.stats()).storedBytes, storedBytes);
    const objects = (await storage.list('data/')).filter((key) => key.includes('/object/'));
    assert.equal(objects.length, 1);
  });
});

describe('training', () => {
  test('ends with CONFLICT when others change the keys, and can be repeated', async () => {
    for (const change of ['rotateIndexKey', 'rekey', 'deleteUserKeys']) {
      const { storage, index, indexKey, load } = await filled(60);
      await index.createUserKeys({ ...user(1), permissions: ['read'] });
      const gated = new Gated(storage);
      const slow = await load({ indexKey }, gated);
      const gate = gated.hold('create', /\/object\//);
      const training = slow.train({ nLists: 4, seed: 1 });
      training.catch(() => undefined);
      await gate.arrived;
      const newIndexKey = generateKey();
      const options = { rotateIndexKey: { newIndexKey }, deleteUserKeys: { userId: user(1).userId } };
      await index[change](options[change] ?? {});
      gate.open();
      await assertCode(training, change === 'rotateIndexKey' ? 'WRONG_KEY' : 'CONFLICT');
      assert.equal(await index.isTrained(), false);
      assert.equal((await index.train({ nLists: 4 })).assigned, 60);
    }
  });

  test('keeps its own handle from changing keys', async () => {
    const { index } = await filled(60);
    await index.createUserKeys({ ...user(1), permissions: ['read'] });
    const training = index.train({ nLists: 4, maxIters: 100, tolerance: 0 });
    while (!(await index.isTraining()));
    await assertCode(index.rekey(), 'TRAINING_IN_PROGRESS');
    const newIndexKey = generateKey();
    await assertCode(index.rotateIndexKey({ newIndexKey }), 'TRAINING_IN_PROGRESS');
    const { userId } = user(1);
    await assertCode(index.deleteUserKeys({ userId }), 'TRAINING_IN_PROGRESS');
    await training;
    await index.rekey();
  });
});

describe('calls under keys of their own', () => {
  test('at once on one handle each see what their own key allows, and nothing is kept', async () => {
    const { index, indexKey, storage } = await filled(60);
    for (const n of [1, 2]) {
      await index.createUserKeys({ ...user(n), permissions: n === 1 ? ['read'] : ['read', 'write'] });
    }
    const { instantiate } = WebAssembly;
    const memories = [];
    WebAssembly.instantiate = async (...args) => {
      const result = await instantiate(...args);
      memories.push((result.instance ?? result).exports.memory);
      return result;
    };
    const keyless = await open(storage).loadIndex({ indexName: 't' });
    try {
      const outcomes = await Promise.all([
        keyless.count(asKey(user(1))), keyless.count(asKey(user(2))), keyless.count({ indexKey }),
        ...[user(3), { ...user(1), userKey: user(2).userKey }].map((wrong) =>
          keyless.count(asKey(wrong)).catch(({ code }) => code)),
        keyless.count().catch(({ code }) => code),
        keyless.upsert({ items: items(0, 1), ...asKey(user(1)) }).catch(({ code }) => code),
        keyless.upsert({ items: items(0, 1), ...asKey(user(2)) }).then(({ count }) => count),
      ]);
      assert.deepEqual(outcomes,
        [60, 60, 60, 'WRONG_KEY', 'WRONG_KEY', 'WRONG_KEY', 'PERMISSION_DENIED', 1]);
      await assertCode(keyless.count(), 'WRONG_KEY');
    } finally {
      WebAssembly.instantiate = instantiate;
    }
    assert.ok(memories.length >= 7, 'each call has a memory of its own');
    const keys = [indexKey, user(1).userKey, user(2).userKey].map((key) => Buffer.from(key));
    for (const memory of memories) {
      const bytes = Buffer.from(memory.buffer);
      for (const key of keys) assert.ok(!bytes.includes(key));
      assert.ok(!bytes.includes('contents of id'));
    }
  });

  test('and changes of keys leave no key, seed or data key in memory once all is closed', async () => {
    const { instantiate } = WebAssembly;
    const draw = crypto.getRandomValues;
    const [memories, secrets] = [[], []];
    // A core that is not watched, to make what is looked for.
    const core = await Core.instantiate(await loadModule(undefined));
    WebAssembly.instantiate = async (...args) => {
      const result = await instantiate(...args);
      memories.push((result.instance ?? result).exports.memory);
      return result;
    };
    crypto.getRandomValues = (into) => {
      draw.call(crypto, into);
      // Keys and seeds are drawn by 32 bytes; ids, salts and nonces are no multiples of that here.
      for (let at = 0; into.length % 32 === 0 && into.length <= 96 && at < into.length; at += 32) {
        secrets.push(Buffer.from(into.slice(at, at + 32)));
      }
      return into;
    };
    const inMemory = () => memories.filter((memory) => {
      const bytes = Buffer.from(memory.buffer);
      return secrets.some((secret) => bytes.includes(secret));
    }).length;
    try {
      const { index, indexKey, storage, load } = await filled(60);
      const userKey = generateKey();
      const { userId } = user(1);
      await index.createUserKeys({ userId, userKey, permissions: ['read', 'write'] });
      await index.createUserKeys({ ...user(2), permissions: ['read'] });
      const indexId = (await storage.read('index/t')).slice(16, 32);
      for (const key of [{ indexKey }, { userId, indexKey: userKey }]) {
        secrets.push(Buffer.from(exposed(deriveWrap(core, indexId, key).secret)));
      }
      const theirs = await load({ userId, indexKey: userKey });
      await index.train({ nLists: 4 });
      await theirs.upsert({ items: items(0, 9, 2) });
      await index.deleteUserKeys({ userId: user(2).userId });
      const newIndexKey = generateKey();
      await index.rotateIndexKey({ newIndexKey });
      await index.rekey();
      await theirs.count();
      await assertCode(index.rekey({ indexKey: generateKey() }), 'WRONG_KEY');
      await assertCode(theirs.createUserKeys({ ...user(5), permissions: ['read'] }),
        'PERMISSION_DENIED');
      const keyless = await open(new Wrapped(storage)).loadIndex({ indexName: 't' });
      await keyless.listUserKeys({ indexKey: newIndexKey });
      assert.ok(inMemory() > 0, 'open handles have keys');
      for (const handle of [index, theirs, keyless]) await handle.close();
      assert.ok(secrets.length >= 12, `${secrets.length} secrets`);
      assert.equal(inMemory(), 0);
    } finally {
      WebAssembly.instantiate = instantiate;
      crypto.getRandomValues = draw;
    }
  });
});
