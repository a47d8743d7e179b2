// What has to be known before there is a key, in a database of its own: the salt of the passphrase
// and the name of the embedder. Neither is secret; without the salt the index cannot be opened.
const DATABASE = 'private-search-record';
const STORE = 'record';
const KEY = 'index';
const PATIENCE = 5_000;

const finished = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function inStore(mode, work) {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const db = await finished(request);
  try {
    const tx = db.transaction(STORE, mode, { durability: 'strict' });
    const committed = new Promise((resolve, reject) => {
      tx.oncomplete = resolve;
      tx.onabort = () => reject(tx.error);
    });
    const [result] = await Promise.all([work(tx.objectStore(STORE)), committed]);
    return result;
  } finally {
    db.close();
  }
}

/** The record, if there is one. */
export const readRecord = () => inStore('readonly', (store) => finished(store.get(KEY)));

/** Writes the record unless there is one, and returns the one that is there. */
export const claimRecord = (record) => inStore('readwrite', async (store) => {
  const found = await finished(store.get(KEY));
  if (!found) await finished(store.add(record, KEY));
  return found ?? record;
});

/** Deletes a database; tabs that have it open get some time to give way. */
export const deleteDatabase = (name) => new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(name);
  const tooLate = () => reject(new Error('another tab has the index open; close that tab'));
  request.onsuccess = () => resolve();
  request.onerror = () => reject(request.error);
  request.onblocked = () => setTimeout(tooLate, PATIENCE);
});

export const deleteRecord = () => deleteDatabase(DATABASE);
