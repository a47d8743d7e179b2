// The encrypted index in IndexedDB, and the key that a passphrase makes.
import { Client, deriveKey, indexedDBStorage } from '../../dist/browser.js';
import { claimRecord, deleteDatabase, deleteRecord, readRecord } from './record.js';

export const DATABASE = 'private-search';
/** Passages from which on training is offered. */
export const MIN_ROWS = 200;
const INDEX = 'texts';
const SALT_BYTES = 16;

function connect() {
  const storage = indexedDBStorage(DATABASE, { persist: true });
  return new Client({ storage, minTrainVectors: MIN_ROWS });
}

/** What this browser holds: whether there is an index, and its record. */
export async function look() {
  const client = connect();
  try {
    const names = await client.listIndexes();
    return { exists: names.includes(INDEX), record: await readRecord() };
  } finally {
    await client.close();
  }
}

/** Runs work with the key of a passphrase, and forgets the key and, on failure, the client. */
async function withKey(passphrase, salt, work) {
  const indexKey = await deriveKey({ passphrase, salt });
  const client = connect();
  try {
    return { client, index: await work(client, indexKey) };
  } catch (error) {
    await client.close();
    throw error;
  } finally {
    indexKey.fill(0);
  }
}

/** Makes the index. The record is written first: an index without its salt could not be opened. */
export async function createVault(passphrase, { name, dimension }) {
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const record = await claimRecord({ salt, embedder: name });
  return withKey(passphrase, record.salt, (client, indexKey) =>
    client.createIndex({ indexName: INDEX, indexKey, dimension, metric: 'cosine' }));
}

export const openVault = (passphrase, { salt }) =>
  withKey(passphrase, salt, (client, indexKey) =>
    client.loadIndex({ indexName: INDEX, indexKey }));

/** Deletes the index and its record. */
export async function wipeVault() {
  await deleteDatabase(DATABASE);
  await deleteRecord();
}
