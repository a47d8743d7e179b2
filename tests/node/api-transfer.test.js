// export, import and deleteIndex: an index as a whole.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { assertCode, dump, ids, openIndex, randomVectors, toItems } from './support/oracle.js';

const items = toItems(randomVectors(400, 4, 1));

async function filled() {
  const opened = await openIndex({}, { minTrainVectors: 10 });
  await opened.index.upsert({ items });
  await opened.index.train({ nLists: 8, seed: 1, workers: 1 });
  await opened.index.delete({ ids: ['id3', 'id5'] });
  return opened;
}

describe('export and import', () => {
  test('carry an index to another storage without a key, to be opened with its own', async () => {
    const { client, indexKey, index } = await filled();
    const keyless = await client.loadIndex({ indexName: 'test' });
    const backup = memoryStorage();
    const sent = await keyless.export({ to: backup });
    assert.equal((await backup.list('')).length, sent.objects);
    const sizes = await Promise.all(
      (await backup.list('')).map(async (key) => (await backup.read(key)).length),
    );
    assert.equal(
      sizes.reduce((sum, size) => sum + size),
      sent.bytes,
    );
    const target = new Client({ storage: memoryStorage() });
    assert.deepEqual(await target.import({ from: backup, indexName: 'test' }), sent);
    const copy = await target.loadIndex({ indexName: 'test', indexKey });
    const query = {
      queryVectors: items[7].vector,
      topK: 20,
      include: ['distance', 'metadata', 'contents'],
    };
    assert.deepEqual(await copy.query(query), await index.query(query));
    const { cachedBytes, memoryBytes, ...stats } = await index.stats();
    const { cachedBytes: c, memoryBytes: m, ...same } = await copy.stats();
    assert.deepEqual(same, stats);
    assert.ok(cachedBytes >= 0 && memoryBytes > 0 && c >= 0 && m > 0);
    await assertCode(target.loadIndex({ indexName: 'test', indexKey: generateKey() }), 'WRONG_KEY');
    await copy.upsert({ ids: ['new'], vectors: [[1, 2, 3, 4]] });
    assert.deepEqual([await copy.count(), await index.count()], [399, 398]);
  });

  test('refuse a name that is taken and an index that is not there', async () => {
    const { client, index, storage } = await filled();
    const before = await dump(storage);
    const backup = memoryStorage();
    await index.export({ to: backup });
    const copied = await dump(backup);
    await assertCode(index.export({ to: backup }), 'ALREADY_EXISTS', /test/);
    await assertCode(index.export({ to: storage }), 'ALREADY_EXISTS', /test/);
    const { storage: other } = await openIndex();
    const held = await dump(other);
    await assertCode(index.export({ to: other }), 'ALREADY_EXISTS', /test/);
    assert.equal(await dump(other), held);
    await assertCode(client.import({ from: backup, indexName: 'test' }), 'ALREADY_EXISTS');
    await assertCode(client.import({ from: backup, indexName: 'none' }), 'NOT_FOUND', /none/);
    assert.deepEqual([await dump(storage), await dump(backup)], [before, copied]);
  });

  test('leave no index behind when they are cut short, and can be done again', async () => {
    const { index } = await filled();
    const target = memoryStorage();
    const control = new AbortController();
    const onProgress = ({ fraction }) => {
      if (fraction > 0.7) control.abort();
    };
    await assert.rejects(index.export({ to: target, onProgress, signal: control.signal }));
    assert.deepEqual(await new Client({ storage: target }).listIndexes(), []);
    await index.upsert({ ids: ['late'], vectors: [[0, 0, 0, 0]] });
    await index.compact();
    const { objects } = await index.export({ to: target });
    assert.equal((await target.list('')).length, objects, 'nothing of the first attempt is left');
  });

  test('copy one commit while writers go on', async () => {
    const { index, indexKey } = await openIndex({ dimension: 2 });
    let writing = true;
    const writer = (async () => {
      for (let i = 0; writing; i++) {
        await index.upsert({
          ids: [`a${i % 50}`, `b${i % 50}`],
          vectors: [
            [i, 0],
            [0, i],
          ],
        });
        if (i % 10 === 9) await index.compact();
        await new Promise(setImmediate);
      }
    })();
    try {
      for (let round = 0; round < 10; round++) {
        const backup = memoryStorage();
        await index.export({ to: backup });
        const copy = await new Client({ storage: backup }).loadIndex({
          indexName: 'test',
          indexKey,
        });
        const { ids: names } = await copy.listIds();
        assert.equal(names.length % 2, 0);
        const [a, b] = [names.filter((id) => id[0] === 'a'), names.filter((id) => id[0] === 'b')];
        assert.deepEqual(a.map((id) => id.slice(1)).sort(), b.map((id) => id.slice(1)).sort());
        assert.equal(
          (await copy.get({ ids: names.length ? names : ['none'] })).length,
          names.length,
        );
      }
    } finally {
      writing = false;
    }
    await writer;
  });
});

describe('deleteIndex', () => {
  test('leaves nothing in storage, closes the handle, and frees the name', async () => {
    const { client, storage, index } = await filled();
    await index.deleteIndex();
    assert.deepEqual(await storage.list(''), []);
    await assertCode(index.count(), 'CLOSED');
    assert.deepEqual(await client.listIndexes(), []);
    await assertCode(client.loadIndex({ indexName: 'test' }), 'NOT_FOUND');
    const indexKey = generateKey();
    const again = await client.createIndex({ indexName: 'test', indexKey, dimension: 2 });
    await again.upsert({ ids: ['x'], vectors: [[1, 2]] });
    assert.deepEqual((await again.listIds()).ids, ['x']);
  });

  test('makes other handles say NOT_FOUND, also once the name is used again', async () => {
    const { client, index, indexKey } = await filled();
    const other = await client.loadIndex({ indexName: 'test', indexKey });
    await index.deleteIndex();
    await assertCode(other.count(), 'NOT_FOUND', /test/);
    const again = await client.createIndex({ indexName: 'test', indexKey });
    await assertCode(other.count(), 'NOT_FOUND', /test/);
    await assertCode(other.upsert({ ids: ['x'], vectors: [[1, 2, 3, 4]] }), 'NOT_FOUND');
    await assertCode(other.delete({ ids: ['id1'] }), 'NOT_FOUND');
    assert.equal(await again.count(), 0);
  });

  test('comes after the writes called before it, and ends training', async () => {
    const { client, storage, index } = await openIndex({}, { minTrainVectors: 10, worker: false });
    await index.upsert({ items: toItems(randomVectors(20_000, 8, 2)) });
    const training = index.train({ nLists: 64 });
    training.catch(() => undefined);
    while (!(await index.isTraining())) await null;
    const write = index.upsert({ ids: ['last'], vectors: [new Array(8).fill(0)] });
    await index.deleteIndex();
    await write;
    await assertCode(training, 'CLOSED', /deleted/);
    assert.deepEqual(await storage.list(''), []);
    assert.deepEqual(await client.listIndexes(), []);
  });

  test('deletes one of several indexes only', async () => {
    const { client, index } = await filled();
    const indexKey = generateKey();
    const other = await client.createIndex({ indexName: 'other', indexKey });
    await other.upsert({ items });
    await index.deleteIndex();
    assert.deepEqual(await client.listIndexes(), ['other']);
    assert.equal((await other.get({ ids: ids(items) })).length, 400);
  });
});

describe('createIndex', () => {
  test('lets one of many that want a name have it', async () => {
    const client = new Client({ storage: memoryStorage() });
    const keys = Array.from({ length: 8 }, () => generateKey());
    const made = await Promise.allSettled(
      keys.map((indexKey) => client.createIndex({ indexName: 'same', indexKey })),
    );
    const won = made.findIndex(({ status }) => status === 'fulfilled');
    const codes = made.filter((_, i) => i !== won).map(({ reason }) => reason?.code);
    assert.deepEqual(codes, new Array(7).fill('ALREADY_EXISTS'));
    await client.loadIndex({ indexName: 'same', indexKey: keys[won] });
  });
});
