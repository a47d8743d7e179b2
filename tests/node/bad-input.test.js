// Each argument of each method is given what it cannot be: a typed error that names it, says what
// was expected and what came, and nothing has changed.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { Client, deriveKey, memoryStorage, SealvecError } from '../../build/js/index.js';
import * as bad from './support/bad-values.js';
import { dump, openIndex, randomVectors, toItems } from './support/oracle.js';

const vectors = randomVectors(5, 3, 1);
const embed = (texts) => texts.map(() => [1, 2, 3]);
const { storage, client, index } = await openIndex({ dimension: 3, embed }, { minTrainVectors: 2 });
await index.upsert({ items: toItems(vectors) });
const { index: plain } = await openIndex({ dimension: 3 });
await plain.upsert({ items: toItems(vectors) });
const { index: empty, storage: emptyStorage } = await openIndex();
const emptyBefore = await dump(emptyStorage);
// What is wrong with these is the dimension alone.
const ANY_LENGTH =
  /(^|with )(short|long)\b|Float32Array|^flat, (two|not)|seven floats|array of a number/;
const before = await dump(storage);
const answer = await index.query({ queryVectors: vectors[0], topK: 3 });
let cases = 0;
after(() => {
  console.log(`${cases} cases of bad input`);
  assert.ok(cases >= 1000);
});

const key = [
  ['indexKey', bad.keys(32)],
  ['userId', bad.keys(16)],
];
const progress = ['onProgress', bad.kinds('function')];
const watch = [progress, ['signal', bad.signals()]];
const item = (field, values) =>
  values.map(([name, make]) => [
    `an item whose ${field} is ${name}`,
    () => [{ id: 'x', vector: [1, 2, 3], [field]: make() }],
  ]);
const count = (...but) => bad.integers(...but);

/** Per method: a call with options, options that are right, and wrong values per argument. */
const METHODS = {
  Client: [
    (options) => new Client(options),
    { storage: memoryStorage() },
    [
      [
        'storage',
        [
          ...bad.storages('string'),
          ['undefined', () => undefined],
          ['empty', () => ''],
          ['a NUL', () => 'a\0b'],
          ['a lone surrogate', () => '\ud800'],
          ['long', () => 'x'.repeat(5000)],
        ],
      ],
      ['wasm', bad.sources()],
      ['worker', bad.kinds('true', 'false', 'function')],
      ['cacheBytes', count('zero', '1e308')],
      ['retrainThreshold', count()],
      ['minTrainVectors', count()],
      ['logger', bad.loggers()],
    ],
  ],
  deriveKey: [
    (options) => deriveKey(options),
    { passphrase: 'a phrase', salt: new Uint8Array(16), worker: false },
    [
      [
        'passphrase',
        [
          ...bad.kinds('string'),
          ['undefined', () => undefined],
          ['empty', () => ''],
          ['a lone surrogate', () => 'a\ud800'],
          ['4,097 bytes', () => 'x'.repeat(4097)],
          ['4,098 bytes', () => 'é'.repeat(2049)],
        ],
      ],
      ['salt', [...bad.keys(16), ['undefined', () => undefined]]],
      ['memory', [...count(), ['63', () => 63], ['1,025', () => 1025]]],
      ['passes', [...count(), ['one', () => 1], ['17', () => 17]]],
      ['wasm', bad.sources()],
      ['worker', bad.kinds('true', 'false', 'function')],
      ['signal', bad.signals()],
    ],
  ],
  createIndex: [
    (options) => client.createIndex(options),
    { indexName: 'new', indexKey: new Uint8Array(32).fill(1) },
    [
      ['indexName', [...bad.names(80), ['undefined', () => undefined]]],
      ['indexKey', [...bad.keys(32), ['undefined', () => undefined]]],
      ['dimension', [...count(), ['16,385', () => 16_385]]],
      ['embed', bad.kinds('function')],
      ['metric', bad.choices('Cosine', 'l2', 'dot', '__proto__')],
      ['precision', bad.choices('float64', 'int8')],
      ['autoTrain', bad.kinds('true', 'false')],
    ],
  ],
  loadIndex: [
    (options) => client.loadIndex(options),
    { indexName: 'test' },
    [
      ['indexName', [...bad.names(80), ['undefined', () => undefined]]],
      ...key,
      ['minGeneration', count('zero')],
      ['anchor', [...bad.names(256), ...bad.anchors(await index.anchor())]],
      ['embed', bad.kinds('function')],
    ],
  ],
  import: [
    (options) => client.import(options),
    { from: memoryStorage(), indexName: 'other' },
    [
      ['from', [...bad.storages(), ['undefined', () => undefined]]],
      ['indexName', bad.names(80)],
      ...watch,
    ],
  ],
  'upsert of items': [
    (options) => index.upsert(options),
    { items: [{ id: 'x', vector: [1, 2, 3] }] },
    [
      [
        'items',
        [
          ...bad.kinds(),
          ...item('id', bad.oneId()),
          ...item(
            'vector',
            bad.oneVector().filter(([name]) => name !== 'undefined'),
          ),
          ...item('contents', bad.contents()),
          ...item('metadata', bad.metadata()),
          ...bad
            .kinds(...bad.OBJECTS)
            .map(([name, make]) => [`a list with ${name}`, () => [make()]]),
          [
            'an id twice',
            () => [
              { id: 'a', vector: [1, 2, 3] },
              { id: 'a', vector: [1, 2, 3] },
            ],
          ],
          ['a hole', () => new Array(1)],
          ['four billion holes', () => new Array(2 ** 32 - 1)],
        ],
      ],
      ...watch,
      ...key,
    ],
  ],
  'upsert of ids': [
    (options) => index.upsert(options),
    { ids: ['x'], vectors: [[1, 2, 3]] },
    [
      ['ids', [...bad.ids(), ['undefined', () => undefined]]],
      ['vectors', bad.vectorLists().filter(([name]) => name !== 'undefined')],
      ['metadata', bad.columns(bad.metadata)],
      ['contents', bad.columns(bad.contents)],
      ...watch,
    ],
  ],
  'upsert, dimension unknown': [
    (options) => empty.upsert(options),
    { ids: ['x'], vectors: [[1, 2, 3]] },
    [['vectors', bad.vectorLists().filter(([name]) => !ANY_LENGTH.test(name))]],
  ],
  'query, dimension unknown': [
    (options) => empty.query(options),
    { queryVectors: [1, 2, 3] },
    [['queryVectors', bad.queries().filter(([name]) => !ANY_LENGTH.test(name))]],
  ],
  'upsert without embed': [
    (options) => plain.upsert(options),
    { ids: ['x'], vectors: [[1, 2, 3]] },
    [
      ['vectors', [['undefined', () => undefined]]],
      [
        'items',
        [
          ['no vector', () => [{ id: 'x' }]],
          ['a text', () => [{ id: 'x', contents: 'text' }]],
        ],
        { ids: undefined, vectors: undefined },
      ],
    ],
  ],
  query: [
    (options) => index.query(options),
    { queryVectors: [1, 2, 3] },
    [
      ['queryVectors', bad.queries()],
      ['queryContents', bad.texts(), { queryVectors: undefined }],
      ['queryContents', [['both', () => 'text']]],
      ['topK', [...count(), ['above 1,048,576', () => 1_048_577]]],
      ['nProbes', count()],
      [
        'targetRecall',
        count('half', 'true')
          .filter(([name]) => name !== 'half')
          .concat([['above 1', () => 1.001]]),
      ],
      ['filters', bad.filters()],
      ['include', bad.includes('id')],
      ['signal', bad.signals()],
      ...key,
    ],
  ],
  get: [
    (options) => index.get(options),
    { ids: ['id1'] },
    [
      ['ids', [...bad.ids(), ['undefined', () => undefined]]],
      ['include', bad.includes('distance')],
      ...key,
    ],
  ],
  delete: [
    (options) => index.delete(options),
    { ids: ['id1'] },
    [['ids', [...bad.ids(), ['undefined', () => undefined]]], ...key],
  ],
  train: [
    (options) => index.train(options),
    {},
    [
      ['nLists', count()],
      ['batchSize', count('zero')],
      ['maxIters', count()],
      ['tolerance', count('zero', 'half')],
      ['maxMemory', count('zero', 'half', 'one and a half')],
      ['workers', count()],
      ['seed', count('zero')],
      ...watch,
      ...key,
    ],
  ],
  compact: [(options) => index.compact(options), {}, [...watch, ...key]],
  export: [
    (options) => index.export(options),
    { to: memoryStorage() },
    [['to', [...bad.storages(), ['undefined', () => undefined]]], ...watch],
  ],
  ...Object.fromEntries(
    ['listIds', 'count', 'stats', 'isTrained', 'isTraining', 'trainingState', 'anchor'].map(
      (name) => [name, [(options) => index[name](options), {}, key]],
    ),
  ),
  deleteIndex: [(options) => index.deleteIndex(options), {}, key],
  createUserKeys: [
    (options) => index.createUserKeys(options),
    {
      userId: new Uint8Array(16),
      userKey: new Uint8Array(32).fill(1),
      permissions: ['read', 'write'],
    },
    [
      ['userId', [...bad.keys(16), ['undefined', () => undefined]]],
      ['userKey', [...bad.keys(32), ['undefined', () => undefined]]],
      ['permissions', [...bad.permissions(), ['undefined', () => undefined]]],
      ['indexKey', bad.keys(32)],
    ],
  ],
  deleteUserKeys: [
    (options) => index.deleteUserKeys(options),
    { userId: new Uint8Array(16) },
    [
      ['userId', [...bad.keys(16), ['undefined', () => undefined]]],
      ['indexKey', bad.keys(32)],
    ],
  ],
  listUserKeys: [
    (options) => index.listUserKeys(options), {}, [['indexKey', bad.keys(32)]],
  ],
  rotateIndexKey: [
    (options) => index.rotateIndexKey(options),
    { newIndexKey: new Uint8Array(32).fill(1) },
    [
      ['newIndexKey', [...bad.keys(32), ['undefined', () => undefined]]],
      ['indexKey', bad.keys(32)],
    ],
  ],
  rekey: [(options) => index.rekey(options), {}, [...watch, ['indexKey', bad.keys(32)]]],
};

/** The error of a call, which must be a refusal that says what and why. */
async function refusal(call) {
  cases++;
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof SealvecError, `not typed: ${error?.stack}`);
    assert.match(error.code, /^(INVALID_ARGUMENT|DIMENSION_MISMATCH)$/, error.message);
    assert.match(error.message, /expected .*, got ./s);
    return error;
  }
  return assert.fail('it was accepted');
}

async function unchanged() {
  assert.equal(await dump(storage), before, 'storage is as it was');
  assert.equal(await dump(emptyStorage), emptyBefore);
  assert.deepEqual(await index.query({ queryVectors: vectors[0], topK: 3 }), answer);
}

for (const [name, [call, right, args]] of Object.entries(METHODS)) {
  describe(name, () => {
    for (const [argument, values, rest = {}] of args) {
      test(`refuses ${values.length} values of ${argument}`, async () => {
        for (const [kind, make] of values) {
          try {
            const error = await refusal(() => call({ ...right, ...rest, [argument]: make() }));
            assert.ok(error.message.includes(argument), error.message);
            assert.ok(error.message.length < 500, 'not a novel');
            await unchanged();
          } catch (cause) {
            throw new Error(`${name} with ${argument} being ${kind}: ${cause.message}`, { cause });
          }
        }
      });
    }

    test('refuses what are no options, and options that it does not know, by name', async () => {
      const others = bad.kinds(
        ...bad.OBJECTS,
        'array-like',
        ...(name === 'train' ? ['number'] : []),
      );
      for (const [kind, make] of others) {
        await refusal(() => call(make())).catch((cause) =>
          assert.fail(`${kind}: ${cause.message}`),
        );
      }
      for (const unknown of [
        'topk',
        'index_key',
        '__proto__',
        'constructor',
        '',
        'x'.repeat(40),
        '0',
      ]) {
        const options = Object.defineProperty({ ...right }, unknown, {
          value: 1,
          enumerable: true,
        });
        const { message } = await refusal(() => call(options));
        assert.ok(message.includes(`'${unknown}'`), message);
      }
      for (const failing of Object.keys(right)) {
        const options = {
          ...right,
          get [failing]() {
            throw new TypeError('from a getter');
          },
        };
        const { message, cause } = await refusal(() => call(options));
        assert.ok(message.includes(failing), message);
        assert.equal(cause.message, 'from a getter');
      }
      await unchanged();
    });
  });
}

describe('train by a number', () => {
  test('refuses numbers that are no count of lists', async () => {
    for (const number of [0, -1, NaN, Infinity, 1.5, 2 ** 53]) {
      assert.match((await refusal(() => index.train(number))).message, /nLists/);
    }
  });
});

describe('a key', () => {
  test('that is given as text is not repeated in the error', async () => {
    for (const secret of ['correct horse', 'k'.repeat(32), 'ab'.repeat(32)]) {
      const { message } = await refusal(() => index.count({ indexKey: secret }));
      assert.ok(!message.includes(secret.slice(0, 8)), message);
    }
  });
});

describe('what changes while it is read', () => {
  /** An object of which each property gives the next of its values each time it is read. */
  const changing = (target, values, reads = {}) =>
    new Proxy(target, {
      get: (_, property) => {
        if (!(property in values)) return target[property];
        const at = reads[property] ?? 0;
        reads[property] = at + 1;
        return values[property][Math.min(at, values[property].length - 1)];
      },
    });

  test('counts as what it was when it was read, once', async () => {
    const opened = await openIndex({ dimension: 2 });
    const [ofNames, ofRows] = [{}, {}];
    const names = changing(['a', 'b'], { 0: ['a', 5], 1: ['b', 'a'], length: [2, 9] }, ofNames);
    const rows = changing(
      [
        [1, 2],
        [3, 4],
      ],
      {
        0: [
          [1, 2],
          [NaN, 1],
        ],
        1: [[3, 4], 'x'],
      },
      ofRows,
    );
    await opened.index.upsert({ ids: names, vectors: rows });
    assert.deepEqual(
      [ofNames, ofRows],
      [
        { 0: 1, 1: 1, length: 1 },
        { 0: 1, 1: 1 },
      ],
    );
    const item = changing(
      { id: 'c', vector: [5, 6], metadata: {} },
      {
        id: ['c', 'a'],
        vector: [[5, 6], [7]],
        metadata: [{ m: 1 }, { m: 2 }],
      },
    );
    await opened.index.upsert({ items: [item] });
    const vector = changing([7, 8], { 0: [7, NaN], 1: [8, 'x'], length: [2, 1000] });
    await opened.index.upsert({
      ids: ['d'],
      vectors: [vector],
      metadata: [changing({ m: 1 }, { m: [3, 5n] })],
    });
    assert.deepEqual(await opened.index.get({ ids: ['a', 'b', 'c', 'd'] }), [
      { id: 'a', vector: Float32Array.of(1, 2) },
      { id: 'b', vector: Float32Array.of(3, 4) },
      { id: 'c', vector: Float32Array.of(5, 6), metadata: { m: 1 } },
      { id: 'd', vector: Float32Array.of(7, 8), metadata: { m: 3 } },
    ]);
    const options = changing(
      { queryVectors: [1, 2], topK: 2 },
      { topK: [2, NaN], queryVectors: [[1, 2], 5] },
    );
    assert.equal((await opened.index.query(options)).results.length, 2);
  });

  test('can have an iterator of its own, which is not run', async () => {
    const opened = await openIndex({ dimension: 2 });
    const iterator = { value: () => assert.fail('the iterator was run') };
    const own = (array) => Object.defineProperty(array, Symbol.iterator, iterator);
    await opened.index.upsert({ ids: own(['a']), vectors: own([own(Float32Array.of(1, 2))]) });
    await opened.index.upsert({
      ids: ['b'],
      vectors: own(Float32Array.of(1, 3)),
      contents: own([own(Uint8Array.of(1))]),
    });
    await opened.index.query({
      queryVectors: own(Float32Array.of(1, 2)),
      include: own(['metadata']),
    });
    await opened.index.get({ ids: own(['a']), indexKey: own(Uint8Array.from(opened.indexKey)) });
  });
});
