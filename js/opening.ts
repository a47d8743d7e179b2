/** Opening the newest commit: first the key slots that it names, then the manifest itself. */
import { type Bounds, leastGeneration } from './bounds.js';
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import { readIndexId } from './header.js';
import { Keyring } from './keyring.js';
import type { Loaded } from './lineage.js';
import { findNewest, type Found, type Known, MAX_ATTEMPTS, type Place } from './newest.js';
import { manifestHash, openManifest } from './sealed-manifest.js';
import { openTable, type OpenTable, slotsKey, type Wrap } from './slots.js';
import type { Storage } from '../types/api.js';

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

/** The newest commit as it is stored. */
export interface Fetched extends Found {
  /** The table of slots that it names; undefined when it is the one known. */
  readonly table: Uint8Array | undefined;
}

type KnownKeys = Known & { readonly keyring: Keyring };

/** Reads the newest commit and the table of slots it names, as far as they are not `known`. */
export async function fetchNewest(
  place: Place, minGeneration: number, known?: KnownKeys,
): Promise<Fetched> {
  let last = -1;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const found = await findNewest(place, minGeneration, known);
    const { generation, bytes, slotsNumber } = found;
    if (!bytes || known?.keyring.table.number === slotsNumber) {
      return { ...found, table: undefined };
    }
    const table = await place.storage.read(slotsKey(place.indexId, slotsNumber));
    if (table) return { ...found, table };
    // Slots go when others take their place; so there must be a newer commit by now.
    if (generation === last) {
      throw new SealvecError('CORRUPTED', `key slots ${slotsNumber} are missing`);
    }
    last = generation;
  }
  const message = `the keys of index '${place.indexName}' changed ${MAX_ATTEMPTS} times meanwhile`;
  throw new SealvecError('CONFLICT', message);
}

/** All that is read to open an index, for which no key is needed. */
export async function fetchIndex(
  storage: Storage, indexName: string, bounds: Bounds,
): Promise<{ place: Place; fetched: Fetched }> {
  const indexId = await readIndexId(storage, indexName);
  const place = { storage, indexName, indexId, logger: bounds.logger };
  return { place, fetched: await fetchNewest(place, leastGeneration(bounds)) };
}

/**
 * Opens what was fetched; undefined when it is the commit that is known. Its keys are those known,
 * or fresh ones when it names another table of slots.
 */
export function openFetched(
  core: Core, place: Place, wraps: readonly Wrap[],
  { generation, bytes, slotsNumber, table }: Fetched, known?: Keyring,
): Opened | undefined {
  if (!bytes) return undefined;
  if (!table) return known && load(known, place, generation, bytes);
  const keyring = new Keyring(core, openUnder(core, place, slotsNumber, table, wraps));
  try {
    return load(keyring, place, generation, bytes);
  } catch (error) {
    keyring.wipe();
    throw error;
  }
}
