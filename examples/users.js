// Several people, one index: its owner has the index key and gives each of the others a key of
// their own, which may read or also write. A key that is taken away opens nothing new.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, generateKey } from '../dist/sealvec.js';

const folder = await mkdtemp(join(tmpdir(), 'sealvec-users-'));
const client = new Client({ storage: folder });
const indexKey = generateKey();
const index = await client.createIndex({ indexName: 'notes', indexKey, dimension: 2 });
await index.upsert({ ids: ['a', 'b'], vectors: [[0, 1], [1, 0]] });

// 16 bytes name a user; the key may come from a passphrase, a passkey or the system's keychain.
const ann = { userId: new Uint8Array(randomBytes(16)), userKey: generateKey() };
const bob = { userId: new Uint8Array(randomBytes(16)), userKey: generateKey() };
await index.createUserKeys({ ...ann, permissions: ['read'] });
await index.createUserKeys({ ...bob, permissions: ['read', 'write'] });

const attempt = async (what, call) =>
  console.log(`${what}: ${await call().then(() => 'done', (error) => error.code)}`);

// A server holds no key: each request brings its own, which is forgotten when it is answered.
const shared = await client.loadIndex({ indexName: 'notes' });
const asAnn = { userId: ann.userId, indexKey: ann.userKey };
const asBob = { userId: bob.userId, indexKey: bob.userKey };
await attempt('Ann counts', () => shared.count(asAnn));
await attempt('Ann writes', () => shared.upsert({ ids: ['c'], vectors: [[1, 1]], ...asAnn }));
await attempt('Bob writes', () => shared.upsert({ ids: ['c'], vectors: [[1, 1]], ...asBob }));
await attempt('Bob with the key of Ann counts', () =>
  shared.count({ ...asBob, indexKey: ann.userKey }));

// Bob leaves: what is written from now on he can neither read nor sign, whatever he has copied.
await index.deleteUserKeys({ userId: bob.userId });
await attempt('Bob counts, when he has left', () => shared.count(asBob));
await index.rekey(); // and his old keys open nothing that is still stored
console.log(`${await shared.count(asAnn)} items for Ann, after everything was encrypted anew`);

// The owner's key changes; the anchor, kept elsewhere, tells a storage that was put back.
const newIndexKey = generateKey();
await index.rotateIndexKey({ newIndexKey });
const anchor = await index.anchor();
await attempt('the old key', () => client.loadIndex({ indexName: 'notes', indexKey }));
await attempt('the new key, and the anchor', () =>
  client.loadIndex({ indexName: 'notes', indexKey: newIndexKey, anchor }));
await client.close();
await rm(folder, { recursive: true });
