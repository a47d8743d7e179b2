// Storages for tests: over a Map that the test can look into, and one that fails when told.

/** A Storage over a Map of keys to bytes; copies in and out. */
export function mapStorage(map = new Map()) {
  return {
    map,
    async read(key, range) {
      const bytes = map.get(key);
      if (!bytes) return undefined;
      if (!range) return bytes.slice();
      return bytes.slice(range.offset, range.offset + range.length);
    },
    async create(key, bytes) {
      if (map.has(key)) return false;
      map.set(key, Uint8Array.from(bytes));
      return true;
    },
    async delete(keys) {
      for (const key of keys) map.delete(key);
    },
    async list(prefix) {
      return [...map.keys()].filter((key) => key.startsWith(prefix));
    },
    async close() {},
  };
}

/**
 * A storage whose `at`-th mutating call (from 0) fails, before or after it took effect; once, or
 * from then on every call of any kind, as when the process had died.
 */
export function failingStorage(inner, { at, after = false, once = false }) {
  let calls = 0;
  let dead = false;
  const fail = () => {
    throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
  };
  const mutate = async (work) => {
    if (dead) fail();
    const mine = calls++ === at;
    if (mine && !once) dead = true;
    if (mine && !after) fail();
    const result = await work();
    if (mine) fail();
    return result;
  };
  const look = async (work) => (dead ? fail() : work());
  return {
    calls: () => calls,
    read: (key, range) => look(() => inner.read(key, range)),
    list: (prefix) => look(() => inner.list(prefix)),
    create: (key, bytes) => mutate(() => inner.create(key, bytes)),
    delete: (keys) => mutate(() => inner.delete(keys)),
    close: async () => {},
  };
}
