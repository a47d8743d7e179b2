/** Writing a new, empty index. */
import { randomBytes } from './bytes.js';
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { Keyring } from './keyring.js';
import { type IndexConfig, type Manifest, manifestKey } from './manifest.js';
import { takeName } from './removal.js';
import { Root } from './root.js';
import { sealManifest } from './sealed-manifest.js';
import { deriveWrap, openTable, slotsKey, type Wrap } from './slots.js';
import type { Storage } from '../types/api.js';

/** The first table of slots, and the keys that it gives. */
function makeSlots(
  core: Core, index: { indexId: Uint8Array; indexName: string }, wrap: Wrap,
): { table: Uint8Array; keyring: Keyring } {
  const root = Root.fresh(core);
  try {
    const table = root.seal(index, 1, wrap);
    return { table, keyring: new Keyring(core, openTable(core, index, 1, table, wrap)) };
  } finally {
    root.wipe();
  }
}

/** Writes a new, empty index; ALREADY_EXISTS when the name is taken. */
export async function createIndex(
  core: Core, storage: Storage, indexName: string, indexKey: Uint8Array, config: IndexConfig,
): Promise<void> {
  const indexId = randomBytes(16);
  const wrap = deriveWrap(core, indexId, { indexKey, userId: undefined });
  const { table, keyring } = makeSlots(core, { indexId, indexName }, wrap);
  wrap.secret.wipe();
  const { number, hash } = keyring.table;
  const manifest: Manifest = {
    generation: 1, ancestors: [], slots: { number, hash }, config, clustering: undefined,
    segments: [], condemned: [], writers: [],
  };
  const bytes = sealManifest(keyring, indexId, manifest);
  keyring.wipe();
  await storage.create(slotsKey(indexId, 1), table);
  await storage.create(manifestKey(indexId, 1), bytes);
  if (await takeName(storage, indexName, indexId)) return;
  await storage.delete([slotsKey(indexId, 1), manifestKey(indexId, 1)]);
  throw new SealvecError('ALREADY_EXISTS', `an index named '${indexName}' exists`);
}
