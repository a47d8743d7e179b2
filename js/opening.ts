/** Opening the newest commit: first the key slots that it names, then the manifest itself. */
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { Keyring } from './keyring.js';
import type { Loaded } from './lineage.js';
import { findNewest, type Found, type Known, MAX_ATTEMPTS, type Place } from './newest.js';
import { manifestHash, openManifest } from './sealed-manifest.js';
import { openTable, type OpenTable, slotsKey, type Wrap } from './slots.js';

/** A commit and the keys of its slots. */
export interface Opened extends Loaded {
  readonly keyring: Keyring;
}

/** Opens a table under the first of the wraps that has a slot in it. */
function openUnder(
  core: Core, place: Place, number: number, bytes: Uint8Array, wraps: readonly Wrap[],
): OpenTable {
  let wrong: unknown;
  for (const wrap of wraps) {
    try {
      return openTable(core, place, number, bytes, wrap);
    } catch (error) {
      if (!(error instanceof SealvecError) || error.code !== 'WRONG_KEY') throw error;
      wrong = error;
    }
  }
  throw wrong;
}

/** Opens a manifest under the keys of its slots. */
function load(
  keyring: Keyring, { indexId }: Place, generation: number, bytes: Uint8Array,
): Opened {
  const manifest = openManifest(keyring, indexId, generation, bytes);
  return { manifest, hash: manifestHash(keyring, bytes), keyring };
}

/**
 * Opens the newest commit; undefined when it is the one `known`. Its keys are those known, or fresh
 * ones when it names another table of slots.
 */
export async function openNewest(
  core: Core, place: Place, wraps: readonly Wrap[], minGeneration: number,
  known?: Known & { readonly keyring: Keyring },
): Promise<{ top: number; opened: Opened | undefined }> {
  let last = -1;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { generation, top, bytes, slotsNumber }: Found =
      await findNewest(place, minGeneration, known);
    if (!bytes) return { top, opened: undefined };
    if (known?.keyring.table.number === slotsNumber) {
      return { top, opened: load(known.keyring, place, generation, bytes) };
    }
    const table = await place.storage.read(slotsKey(place.indexId, slotsNumber));
    if (table) {
      const keyring = new Keyring(core, openUnder(core, place, slotsNumber, table, wraps));
      try {
        return { top, opened: load(keyring, place, generation, bytes) };
      } catch (error) {
        keyring.wipe();
        throw error;
      }
    }
    // Slots go when others take their place; so there must be a newer commit by now.
    if (generation === last) {
      throw new SealvecError('CORRUPTED', `key slots ${slotsNumber} are missing`);
    }
    last = generation;
  }
  const message = `the keys of index '${place.indexName}' changed ${MAX_ATTEMPTS} times meanwhile`;
  throw new SealvecError('CONFLICT', message);
}
