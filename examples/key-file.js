// Keys in Node without a passphrase: the key is a file that only its owner may read, and it is in
// memory only while a call needs it. The index handle itself holds none.
import { mkdtemp, open, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, generateKey } from '../dist/sealvec.js';

/** Makes a key file; fails where there is one, because overwriting a key loses its data. */
async function createKeyFile(path) {
  const file = await open(path, 'wx', 0o600);
  const key = generateKey();
  await file.writeFile(key);
  await file.sync();
  await file.close();
  key.fill(0);
}

/** Runs work with the key of a file and forgets the key afterwards. */
async function withKey(path, work) {
  const { mode } = await stat(path);
  if (process.platform !== 'win32' && mode & 0o077) {
    throw new Error(`others may read ${path}: chmod 600`);
  }
  const indexKey = new Uint8Array(await readFile(path));
  try {
    return await work(indexKey);
  } finally {
    indexKey.fill(0);
  }
}

const folder = await mkdtemp(join(tmpdir(), 'sealvec-key-file-'));
const keyFile = join(folder, 'index.key'); // better not beside the data, and backed up apart
await createKeyFile(keyFile);

const client = new Client({ storage: join(folder, 'vectors') });
await withKey(keyFile, async (indexKey) => {
  const created = await client.createIndex({ indexName: 'notes', indexKey, dimension: 2 });
  await created.close(); // wipes the copy of the key that the handle had
});

// No key given: the handle knows where the index is and can read nothing of it.
const index = await client.loadIndex({ indexName: 'notes' });
await withKey(keyFile, (indexKey) =>
  index.upsert({ ids: ['a', 'b'], vectors: [[0, 1], [1, 0]], indexKey }));
const { results } = await withKey(keyFile, (indexKey) =>
  index.query({ queryVectors: [0.9, 0.1], topK: 1, indexKey }));
console.log(`with the key of the call: nearest is ${results[0].id}`);

await index.count().then(
  () => { throw new Error('counted without a key'); },
  (error) => console.log(`without a key: ${error.code}`),
);
await client.close();
await rm(folder, { recursive: true });
