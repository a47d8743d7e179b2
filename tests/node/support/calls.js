// Every call of an index that takes a key, by what it needs: on an index of two components, whose
// key or user (or neither) is given with the call.
import { generateKey } from '../../../build/js/index.js';

const userId = (fill) => new Uint8Array(16).fill(fill);
const NOBODY = userId(77);

/** Those that read. */
export const READS = {
  query: (index, key) => index.query({ queryVectors: [0, 0], ...key }),
  get: (index, key) => index.get({ ids: ['id1'], ...key }),
  listIds: (index, key) => index.listIds(key),
  count: (index, key) => index.count(key),
  stats: (index, key) => index.stats(key),
  isTrained: (index, key) => index.isTrained(key),
  isTraining: (index, key) => index.isTraining(key),
  trainingState: (index, key) => index.trainingState(key),
  anchor: (index, key) => index.anchor(key),
};

/** Those that need write permission. */
export const WRITES = {
  upsert: (index, key) => index.upsert({ ids: ['new'], vectors: [[1, 2]], ...key }),
  delete: (index, key) => index.delete({ ids: ['id1'], ...key }),
  'delete of nothing': (index, key) => index.delete({ ids: ['never there'], ...key }),
  train: (index, key) => index.train({ nLists: 4, workers: 1, ...key }),
  compact: (index, key) => index.compact(key),
};

/** Those that need the index key. */
export const MANAGES = {
  createUserKeys: (index, key) => index.createUserKeys({
    userId: userId(9), userKey: generateKey(), permissions: ['read'], ...key,
  }),
  deleteUserKeys: (index, key) => index.deleteUserKeys({ userId: userId(1), ...key }),
  'deleteUserKeys of nobody': (index, key) => index.deleteUserKeys({ userId: NOBODY, ...key }),
  listUserKeys: (index, key) => index.listUserKeys(key),
  rotateIndexKey: (index, key) => index.rotateIndexKey({ newIndexKey: generateKey(), ...key }),
  rekey: (index, key) => index.rekey(key),
  deleteIndex: (index, key) => index.deleteIndex(key),
};
