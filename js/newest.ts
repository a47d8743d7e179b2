/**
 * Finding the newest commit of an index in a storage: the highest manifest that is whole.
 *
 * A torn one above it (cut short, which only a storage without atomic creation leaves behind) was
 * never acknowledged. It may also be one that another process is writing at this moment, so it is
 * looked at for a while before it is stepped over; the next commit takes a number above it.
 */
import { SealvecError } from './errors.js';
import { manifestKey, manifestPrefix } from './manifest.js';
import { readManifestHeader } from './sealed-manifest.js';
import type { Logger, Storage } from '../types/api.js';

/** How often a reader or writer starts again before it gives up. */
export const MAX_ATTEMPTS = 100;
/** How often, and how far apart (ms), manifests are listed while that contradicts what is known. */
export const LOOKS = 4;
export const LOOK_PAUSE = 10;
/** How often, and after how long (ms), a torn manifest is read again. */
const TORN_LOOKS = 10;
const TORN_PAUSE = 50;

const REMOVED = 'removed';
const NUMBER = /^\d{16}$/;

/** Marks an index whose removal has begun (removal.ts). */
export function removalKey(indexId: Uint8Array): string {
  return manifestPrefix(indexId) + REMOVED;
}

export interface Manifests {
  /** Numbers of all manifests, highest first. */
  readonly generations: readonly number[];
  readonly removed: boolean;
}

/** What stands among keys of the manifests of an index. */
export function readManifestKeys(keys: readonly string[], indexId: Uint8Array): Manifests {
  const prefix = manifestPrefix(indexId);
  const names = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  const generations = names.filter((name) => NUMBER.test(name)).map(Number);
  return {
    generations: generations.sort((x, y) => y - x), removed: names.includes(REMOVED),
  };
}

export async function listManifests(storage: Storage, indexId: Uint8Array): Promise<Manifests> {
  return readManifestKeys(await storage.list(manifestPrefix(indexId)), indexId);
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

/** An index in a storage, as far as it is known without a key. */
export interface Place {
  readonly storage: Storage;
  readonly indexName: string;
  readonly indexId: Uint8Array;
  readonly logger: Logger;
}

export interface Found {
  readonly generation: number;
  /** The highest number of all manifests; above `generation` when that one is torn. */
  readonly top: number;
  /** The manifest; undefined when it is the one that was known. */
  readonly bytes: Uint8Array | undefined;
  readonly slotsNumber: number;
}

/** What is known of the newest commit before looking. */
export interface Known {
  readonly generation: number;
  readonly top: number;
}

export function vanished(indexName: string): SealvecError {
  return new SealvecError('NOT_FOUND', `index '${indexName}' has no data in this storage`);
}

/** A manifest and whether it is whole; undefined when it is gone. */
async function readManifest(
  place: Place, generation: number,
): Promise<{ bytes: Uint8Array; slotsNumber: number | undefined } | undefined> {
  const bytes = await place.storage.read(manifestKey(place.indexId, generation));
  if (!bytes) return undefined;
  const header = readManifestHeader(bytes, place.indexId, generation);
  return { bytes, slotsNumber: header?.slotsNumber };
}

/** Whether a manifest that was torn stays so; false when it was completed or taken away. */
export async function staysTorn(place: Place, generation: number): Promise<boolean> {
  const now = await readManifest(place, generation);
  return now !== undefined && now.slotsNumber === undefined;
}

/** The highest whole manifest below torn ones; undefined when one was completed meanwhile. */
async function below(place: Place, generations: readonly number[]): Promise<Found | undefined> {
  const [top = 0] = generations;
  for (const [at, generation] of generations.entries()) {
    if (generation !== top - at) break;
    const found = await readManifest(place, generation);
    if (!found) return undefined;
    const { bytes, slotsNumber } = found;
    if (slotsNumber === undefined) continue;
    for (let look = 0; look < TORN_LOOKS; look++) {
      await pause(TORN_PAUSE);
      if (!(await staysTorn(place, top))) return undefined;
    }
    return { generation, top, bytes, slotsNumber };
  }
  const message = `manifest ${top} of index '${place.indexName}' is cut short`;
  throw new SealvecError('CORRUPTED', message);
}

/** Looks once; undefined when what was listed changed before it was read. */
async function look(
  place: Place, generations: readonly number[], known: Known | undefined,
): Promise<Found | undefined> {
  const [top = 0] = generations;
  if (known?.top === top) return { ...known, bytes: undefined, slotsNumber: 0 };
  const newest = await readManifest(place, top);
  if (!newest) return undefined;
  const { bytes, slotsNumber } = newest;
  if (slotsNumber !== undefined) return { generation: top, top, bytes, slotsNumber };
  const found = await below(place, generations);
  if (found) {
    const message = `manifest ${top} of index '${place.indexName}' is torn`;
    place.logger.warn(`Warning: ${message}; using ${found.generation}.`);
  }
  return found;
}

/** Reads the newest manifest, or nothing when it is the one `known`. */
export async function findNewest(
  place: Place, minGeneration: number, known?: Known,
): Promise<Found> {
  const { storage, indexName, indexId } = place;
  for (let attempt = 0, looks = 1; attempt < MAX_ATTEMPTS; attempt++) {
    const { generations, removed } = await listManifests(storage, indexId);
    if (removed) throw vanished(indexName);
    const found = generations.length > 0 && await look(place, generations, known);
    if (found && found.generation >= minGeneration) return found;
    if (found === undefined) continue;
    if (looks++ < LOOKS) {
      await pause(LOOK_PAUSE);
      continue;
    }
    if (!found) throw vanished(indexName);
    const message = `index '${indexName}' is at generation ${found.generation}, ` +
      `expected at least ${minGeneration}`;
    throw new SealvecError('ROLLED_BACK', message);
  }
  const message = `index '${indexName}' changed ${MAX_ATTEMPTS} times while being opened`;
  throw new SealvecError('CONFLICT', message);
}
