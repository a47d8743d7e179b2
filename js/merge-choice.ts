/** Which segments of an index are to be merged; merge.ts has the rules. */
import type { Manifest, SegmentEntry } from './manifest.js';
import { objectSize } from './object-layout.js';

const FANOUT = 8;
/** Bytes that one merge may make. */
export const MERGE_BYTES = 12 << 20;
/** Segments over this are merged no more: fewer than three of them would make one. */
const LARGE_BYTES = MERGE_BYTES / 3;

function tier(entry: SegmentEntry): number {
  return Math.floor(Math.log(entry.rows - entry.dead) / Math.log(FANOUT));
}

/** As many segments as one merge may make, one at least. */
function fitting(segments: readonly SegmentEntry[]): SegmentEntry[] {
  let bytes = 0;
  return segments.filter(({ object }, i) =>
    (bytes += objectSize(object)) <= MERGE_BYTES || i === 0);
}

/** Segments to merge now, or none. */
export function chooseMerge(manifest: Manifest): SegmentEntry[] {
  const sparse = manifest.segments.find((entry) => entry.dead * 2 > entry.rows);
  if (sparse) return [sparse];
  const strays = manifest.clustering ? manifest.segments.filter((entry) => !entry.listed) : [];
  if (strays.length > 0) return fitting(strays);
  const tiers = new Map<number, SegmentEntry[]>();
  for (const entry of manifest.segments) {
    if (objectSize(entry.object) > LARGE_BYTES) continue;
    const members = tiers.get(tier(entry)) ?? [];
    tiers.set(tier(entry), [...members, entry]);
  }
  for (const members of tiers.values()) {
    if (members.length >= FANOUT) return fitting(members);
  }
  return [];
}

/** Segments that compaction improves: with dead rows, in no list of a trained index, or small. */
export function chooseCompaction(manifest: Manifest): SegmentEntry[] {
  const small = manifest.segments.filter((entry) => objectSize(entry.object) * 2 <= MERGE_BYTES);
  return manifest.segments.filter((entry) => entry.dead > 0 ||
    (manifest.clustering !== undefined && !entry.listed) ||
    (small.length > 1 && small.includes(entry)));
}
