// What a Client is made with: storages, workers, thresholds, a logger.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { Client, fileStorage, generateKey, memoryStorage } from '../../build/js/index.js';
import { assertCode, openIndex, randomVectors, toItems } from './support/oracle.js';
const until = async (condition) => {
  const end = Date.now() + 20_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, 'it takes too long');
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
};

async function works(options) {
  const { index } = await openIndex({}, options);
  await index.upsert({ ids: ['a'], vectors: [[3, 4]] });
  const { results } = await index.query({ queryVectors: [0, 0] });
  assert.deepEqual(results, [{ id: 'a', distance: 5 }]);
}

describe('the storage option', () => {
  test('takes a directory by name, which is made when something is written', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'sealvec-client-'));
    const storage = path.join(directory, 'deep', 'down');
    await works({ storage });
    const client = new Client({ storage: fileStorage(storage) });
    assert.deepEqual(await client.listIndexes(), ['test']);
    await rm(directory, { recursive: true });
  });

  test("gives errors of the caller's backend the code STORAGE, and keeps their cause", async () => {
    const { storage, client, index } = await openIndex();
    await index.upsert({ ids: ['a'], vectors: [[1]] });
    const cause = new TypeError('no network');
    for (const call of ['read', 'create', 'list', 'delete']) {
      const broken = Object.create(storage, {
        [call]: {
          value: () => {
            throw cause;
          },
        },
      });
      const bound = Object.fromEntries(
        ['read', 'create', 'list', 'delete', 'close'].map((name) => [
          name,
          (...args) => (name === call ? broken[name]() : storage[name](...args)),
        ]),
      );
      const other = new Client({ storage: bound, logger: { warn: () => undefined } });
      const work = (async () => {
        const made = await other.createIndex({ indexName: `new${call}`, indexKey: generateKey() });
        await made.upsert({ ids: ['a'], vectors: [[1]] });
        await made.deleteIndex();
      })();
      await assert.rejects(work, (error) => {
        assert.deepEqual([error.code, error.cause], ['STORAGE', cause]);
        return true;
      });
    }
    assert.equal(await index.count(), 1);
    await client.close();
  });

  test('refuses answers of a backend that are none', async () => {
    for (const [call, answer] of [
      ['read', 'text'],
      ['read', null],
      ['list', 'x'],
      ['list', [1]],
      ['create', 1],
    ]) {
      const storage = memoryStorage();
      const bound = {
        read: (...args) => storage.read(...args),
        create: (...args) => storage.create(...args),
        delete: (...args) => storage.delete(...args),
        list: (...args) => storage.list(...args),
        close: () => storage.close(),
        [call]: async () => answer,
      };
      await assertCode(works({ storage: bound }), 'STORAGE', new RegExp(`${call}: expected.*got`));
    }
  });

  test('loses nothing when the backend fails after a commit', async () => {
    const storage = memoryStorage();
    let failing = false;
    const bound = {
      read: (...args) => storage.read(...args),
      create: (...args) => storage.create(...args),
      list: async (...args) => {
        if (failing) throw new Error('list failed');
        return storage.list(...args);
      },
      delete: async (...args) => {
        if (failing) throw new Error('delete failed');
        return storage.delete(...args);
      },
      close: () => storage.close(),
    };
    const { index, client, indexKey } = await openIndex({}, { storage: bound });
    await index.upsert({ ids: ['a'], vectors: [[1]] });
    const create = bound.create;
    bound.create = async (key, value) => {
      const created = await create(key, value);
      failing ||= key.includes('/manifest/');
      return created;
    };
    await index.upsert({ ids: ['b'], vectors: [[2]] }).catch(() => undefined);
    failing = false;
    bound.create = create;
    const again = await client.loadIndex({ indexName: 'test', indexKey });
    assert.deepEqual(
      (await again.get({ ids: ['a', 'b'] })).map(({ vector }) => [...vector]),
      [[1], [2]],
    );
  });
});

describe('the worker option', () => {
  const items = toItems(randomVectors(3000, 8, 1));
  const trained = async (worker) => {
    const { index } = await openIndex({}, { worker, minTrainVectors: 100 });
    await index.upsert({ items });
    const { workers } = await index.train({ nLists: 16, seed: 3, workers: 1 });
    const { results } = await index.query({ queryVectors: items[9].vector, nProbes: 4, topK: 20 });
    return { workers, results };
  };

  test('false trains in this thread, with the same lists as workers make', async () => {
    assert.deepEqual(await trained(false), await trained(true));
  });

  test('may be a factory; what it makes is ended with the training', async () => {
    const { Worker } = await import('node:worker_threads');
    let ended = 0;
    const made = [];
    const factory = () => {
      const worker = new Worker(new URL('../../build/js/training-worker-node.js', import.meta.url));
      made.push(worker);
      return {
        postMessage: (message, transfer) => worker.postMessage(message, transfer),
        terminate: () => {
          ended++;
          return worker.terminate();
        },
        addEventListener: (type, listener) =>
          worker.on(type, (data) => listener(type === 'message' ? { data } : data)),
      };
    };
    assert.deepEqual(await trained(factory), await trained(false));
    assert.deepEqual([made.length, ended], [1, 1]);
  });

  test('that fails fails the training alone', async () => {
    const worker = () => {
      throw new Error('no workers here');
    };
    const { index } = await openIndex({}, { worker, minTrainVectors: 100 });
    await index.upsert({ items });
    await assert.rejects(index.train({ nLists: 4 }), /no workers here/);
    assert.equal(await index.trainingState(), 'untrained');
    assert.equal(
      (await index.query({ queryVectors: items[0].vector, topK: 1 })).results[0].id,
      'id0',
    );
  });
});

describe('autoTrain', () => {
  afterEach(() => {
    delete process.env.RETRAIN_THRESHOLD;
  });
  const items = toItems(randomVectors(4000, 4, 1));
  const open = (options, made = {}) =>
    openIndex({ autoTrain: true, ...made }, { minTrainVectors: 100, worker: false, ...options });
  const settled = (index) => until(async () => !(await index.isTraining()));

  test('trains in the background above retrainThreshold, and not before', async () => {
    const { index } = await open({ retrainThreshold: 1000 });
    await index.upsert({ items: items.slice(0, 1000) });
    assert.equal(await index.trainingState(), 'untrained');
    await index.upsert({ items: items.slice(1000, 1001) });
    assert.equal(await index.isTraining(), true);
    assert.equal(await index.trainingState(), 'training');
    await settled(index);
    assert.equal(await index.trainingState(), 'trained');
    assert.equal(await index.count(), 1001);
  });

  test('trains again as the index outgrows its lists', async () => {
    const { index } = await open({ retrainThreshold: 500 });
    await index.upsert({ items: items.slice(0, 600) });
    await until(() => index.isTrained());
    await settled(index);
    const { nLists } = await index.stats();
    await index.upsert({ items: items.slice(600, 610) });
    assert.equal(await index.isTraining(), false);
    await index.upsert({ items: items.slice(610) });
    await until(async () => (await index.stats()).nLists > nLists);
    await settled(index);
    assert.equal(await index.count(), 4000);
  });

  test('needs minTrainVectors, whatever the threshold', async () => {
    const { index } = await open({ retrainThreshold: 10, minTrainVectors: 1000 });
    await index.upsert({ items: items.slice(0, 999) });
    assert.equal(await index.isTraining(), false);
    await index.upsert({ items: items.slice(999, 1000) });
    assert.equal(await index.isTraining(), true);
    await index.close();
  });

  test('is off unless asked for', async () => {
    const { index } = await open({ retrainThreshold: 10 }, { autoTrain: false });
    await index.upsert({ items: items.slice(0, 1000) });
    assert.equal(await index.isTraining(), false);
  });

  test('takes its threshold from RETRAIN_THRESHOLD where the option is not given', async () => {
    process.env.RETRAIN_THRESHOLD = '300';
    const { index } = await open({});
    const { index: explicit } = await open({ retrainThreshold: 2000 });
    process.env.RETRAIN_THRESHOLD = '';
    const { index: usual } = await open({});
    for (const at of [index, explicit, usual]) await at.upsert({ items: items.slice(0, 301) });
    const training = await Promise.all([index, explicit, usual].map((at) => at.isTraining()));
    assert.deepEqual(training, [true, false, false]);
    await index.close();
    for (const bad of ['many', '0', '-5', '1.5', '1e3', '9007199254740992', 'NaN']) {
      process.env.RETRAIN_THRESHOLD = bad;
      const message = /RETRAIN_THRESHOLD: expected an integer from 1.*got/;
      assert.throws(() => new Client({ storage: memoryStorage() }), {
        code: 'INVALID_ARGUMENT',
        message,
      });
    }
  });

  test('that fails says so through the logger and the index works on', async () => {
    const warnings = [];
    const worker = () => {
      throw new Error('no workers here');
    };
    const logger = { warn: (message) => warnings.push(message) };
    const { index } = await open({ retrainThreshold: 100, worker, logger });
    await index.upsert({ items: items.slice(0, 200) });
    await until(() => warnings.length > 0);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /^Warning: training index 'test' failed: .*no workers here$/);
    assert.equal(await index.count(), 200);
  });
});

describe('the logger', () => {
  test('is told, exactly, of an untrained index above 50,000 vectors, not at 50,000', async () => {
    const warnings = [];
    const logger = { warn: (message) => warnings.push(message) };
    const { index, client, indexKey } = await openIndex(
      { dimension: 1 },
      { logger, minTrainVectors: 10 },
    );
    const names = Array.from({ length: 50_000 }, (_, i) => `${i}`);
    await index.upsert({ ids: names, vectors: Float32Array.from(names, Number) });
    await index.query({ queryVectors: [1] });
    assert.deepEqual(warnings, []);
    await index.upsert({ ids: ['one more'], vectors: [[0]] });
    const { exact } = await index.query({ queryVectors: [1], topK: 1 });
    assert.equal(exact, true);
    const text = 'Warning: querying untrained index with more than 50000 indexed vectors.';
    assert.deepEqual(warnings, [text]);
    const failing = {
      warn: () => {
        throw new Error('from the logger');
      },
    };
    const other = new Client({ storage: memoryStorage(), logger: failing });
    await index.export({ to: (warnings.target = memoryStorage()) });
    await other.import({ from: warnings.target, indexName: 'test' });
    const copy = await other.loadIndex({ indexName: 'test', indexKey });
    assert.equal((await copy.query({ queryVectors: [1], topK: 1 })).results.length, 1);
    await index.train({ nLists: 8, workers: 1 });
    const again = await client.loadIndex({ indexName: 'test', indexKey });
    await again.query({ queryVectors: [1] });
    assert.equal(warnings.length, 1);
  });
});
