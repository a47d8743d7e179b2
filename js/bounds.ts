/** What a caller knows of an index before it is opened: how new it must be. */
import type { Anchor } from './anchor.js';
import { sameBytes } from './bytes.js';
import { SealvecError } from './errors.js';
import { readIndexId } from './header.js';
import { assertDescends, type Loaded } from './lineage.js';
import { findNewest } from './newest.js';
import type { Logger, Storage } from '../types/api.js';

export interface Bounds {
  readonly minGeneration?: number | undefined;
  readonly anchor?: Anchor | undefined;
  readonly logger: Logger;
}

export function leastGeneration({ minGeneration = 0, anchor }: Bounds): number {
  return Math.max(minGeneration, anchor?.generation ?? 0);
}

/** ROLLED_BACK when an index is another than the one of the anchor, or its slots are older. */
export function checkAnchor(
  indexName: string, indexId: Uint8Array, slots: number, { anchor }: Bounds,
): void {
  if (!anchor || (sameBytes(indexId, anchor.indexId) && slots >= anchor.slots)) return;
  const message = `index '${indexName}' is older than its anchor, or another of that name`;
  throw new SealvecError('ROLLED_BACK', message);
}

/** ROLLED_BACK unless a commit may descend from the one of the anchor. */
export function checkCommit(
  indexName: string, indexId: Uint8Array, loaded: Loaded, bounds: Bounds,
): void {
  checkAnchor(indexName, indexId, loaded.manifest.slots.number, bounds);
  if (bounds.anchor) assertDescends(indexName, loaded, bounds.anchor);
}

/** Checks as far as it can be done without a key that an index is there and new enough. */
export async function findIndex(
  storage: Storage, indexName: string, bounds: Bounds,
): Promise<void> {
  const { logger } = bounds;
  const indexId = await readIndexId(storage, indexName);
  const place = { storage, indexName, indexId, logger };
  const { slotsNumber } = await findNewest(place, leastGeneration(bounds));
  checkAnchor(indexName, indexId, slotsNumber, bounds);
}
