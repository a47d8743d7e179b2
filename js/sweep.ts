/** What lies in storage though no commit needs it. */
import { hex } from './bytes.js';
import { namedObjects } from './manifest.js';
import { objectPrefix } from './object.js';
import { slotsKey, slotsPrefix } from './slots.js';
import type { IndexStore } from './store.js';

/** Ids of objects in storage that the newest manifest neither names nor condemns. */
export async function findOrphans(
  { storage, indexId, manifest }: IndexStore,
): Promise<Uint8Array[]> {
  const keys = await storage.list(objectPrefix(indexId));
  const known = new Set([...namedObjects(manifest), ...manifest.condemned]
    .map(({ id }) => hex(id)));
  const ids = keys.map((key) => key.slice(key.lastIndexOf('/') + 1));
  return ids.filter((id) => !known.has(id) && /^[0-9a-f]{32}$/.test(id))
    .map((id) => Uint8Array.from(id.match(/../g) ?? [], (byte) => parseInt(byte, 16)));
}

/** Removes the tables of slots that others have replaced, as best it can. */
export async function sweepSlots({ storage, indexId, manifest }: IndexStore): Promise<void> {
  const inForce = slotsKey(indexId, manifest.slots.number);
  try {
    const keys = await storage.list(slotsPrefix(indexId));
    const older = keys.filter((key) => key.length === inForce.length && key < inForce);
    if (older.length > 0) await storage.delete(older);
  } catch {
    // They open nothing that is in force; compact, or the next change of keys, sweeps again.
  }
}
