// A storage of one's own: five calls over an object store that has conditional writes, as S3, GCS,
// Azure and R2 have (`If-None-Match: *`). Here the store is a Map. The suite that SealVec's own
// storages pass checks it.
import { Client, generateKey, SealvecError } from '../dist/sealvec.js';
import { storageSuite } from '../dist/storage-suite.js';

/** Stands for the object store: a write that may not replace answers 412 where it would. */
class Bucket {
  objects = new Map();
  async put(key, bytes, { ifNoneMatch }) {
    if (ifNoneMatch === '*' && this.objects.has(key)) return { status: 412 };
    this.objects.set(key, new Uint8Array(bytes));
    return { status: 200 };
  }
}

const KEY = /^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[a-z0-9\-_.%/]{1,400}$/;
const PREFIX = /^(?!.*(?:^|\/)\.{0,2}\/)[a-z0-9\-_.%/]{0,400}$/;
const isWhole = (number) => Number.isSafeInteger(number) && number >= 0;
function bucketStorage(bucket) {
  let closed = false;
  const check = (valid, what) => {
    if (closed) throw new SealvecError('CLOSED', 'the storage has been closed');
    if (!valid) throw new SealvecError('INVALID_ARGUMENT', `${what} is not valid`);
  };
  const isKey = (key) => typeof key === 'string' && KEY.test(key);
  return {
    async read(key, range = { offset: 0, length: Number.MAX_SAFE_INTEGER }) {
      check(isKey(key) && isWhole(range.offset) && isWhole(range.length), 'key or range');
      return bucket.objects.get(key)?.slice(range.offset, range.offset + range.length);
    },
    async create(key, bytes) {
      check(isKey(key) && bytes instanceof Uint8Array, 'key or bytes');
      return (await bucket.put(key, bytes, { ifNoneMatch: '*' })).status === 200;
    },
    async delete(keys) {
      check(Array.isArray(keys) && keys.every(isKey), 'keys');
      for (const key of keys) bucket.objects.delete(key);
    },
    async list(prefix) {
      check(typeof prefix === 'string' && PREFIX.test(prefix), 'prefix');
      return [...bucket.objects.keys()].filter((key) => key.startsWith(prefix));
    },
    close: async () => void (closed = true),
  };
}

const tests = [];
const test = (_name, body) => tests.push(body);
const use = (bucket) => ({ storage: bucketStorage(bucket), reopen: () => bucketStorage(bucket) });
storageSuite({ test, open: () => use(new Bucket()) });
for (const body of tests) await body();
console.log(`the storage passes all ${tests.length} tests of the suite`);

const bucket = new Bucket();
const client = new Client({ storage: bucketStorage(bucket) });
const index = await client.createIndex({ indexName: 'notes', indexKey: generateKey() });
await index.upsert({ ids: ['a', 'b'], vectors: [[0, 1], [1, 0]] });
await client.close();
console.log(`in the bucket:\n  ${[...bucket.objects.keys()].join('\n  ')}`);
