/** SealVec: encrypted vector search, embedded. */
export { Client } from './client.js';
export { deriveKey } from './derive-key.js';
export type { EncryptedIndex } from './encrypted-index.js';
export { SealvecError } from './errors.js';
export { generateKey } from './generate-key.js';
export { fileStorage, indexedDBStorage } from './platform.js';
export type { IndexedDBOptions } from './storage/indexeddb.js';
export { memoryStorage } from './storage/memory.js';
export type * from '../types/api.js';
