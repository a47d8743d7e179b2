// In a page: the key of an index that scripts can use and cannot copy away. 32 random bytes,
// encrypted by an AES-GCM key that is not extractable; both are kept in IndexedDB.
const [DATABASE, STORE] = ['index-keys', 'keys'];

const finished = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function withStore(mode, work) {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const database = await finished(request);
  try {
    const transaction = database.transaction(STORE, mode, { durability: 'strict' });
    const done = new Promise((resolve, reject) => {
      [transaction.oncomplete, transaction.onabort] = [resolve, () => reject(transaction.error)];
    });
    const [result] = await Promise.all([finished(work(transaction.objectStore(STORE))), done]);
    return result;
  } finally {
    database.close();
  }
}

const cipher = (name, iv) =>
  ({ name: 'AES-GCM', iv, additionalData: new TextEncoder().encode(name) });

async function readKey(name) {
  const record = await withStore('readonly', (store) => store.get(name));
  if (record === undefined) return undefined;
  // Browsers have given back null in place of a CryptoKey. Never a new key in place of a lost one.
  if (!record?.wrapping || record.wrapping.extractable) throw new Error(`key '${name}' is damaged`);
  const { wrapping, iv, sealed } = record;
  return new Uint8Array(await crypto.subtle.decrypt(cipher(name, iv), wrapping, sealed));
}

/** Stores a key that `generate` makes, unless another tab comes first. */
async function makeKey(name, generate) {
  const aes = { name: 'AES-GCM', length: 256 };
  const wrapping = await crypto.subtle.generateKey(aes, false, ['encrypt', 'decrypt']);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = generate();
  const sealed = await crypto.subtle.encrypt(cipher(name, iv), wrapping, key);
  key.fill(0);
  await withStore('readwrite', (store) => store.add({ wrapping, iv, sealed }, name))
    .catch((error) => { if (error.name !== 'ConstraintError') throw error; });
  // So that the browser does not evict the key with other data; it may say no.
  await navigator.storage.persist();
}

/** The key of this name; made where there is none. What is returned was read from the disk. */
export async function openKey(name, generate) {
  const known = await readKey(name);
  if (known) return known;
  await makeKey(name, generate);
  const key = await readKey(name);
  if (!key) throw new Error('this browser does not keep keys: private mode?');
  return key;
}
