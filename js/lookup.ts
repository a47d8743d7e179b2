/** What is read without a search: items by id, all ids, figures. */
import { liveRows, type Manifest, namedObjects } from './manifest.js';
import { objectSize } from './object-layout.js';
import type { OpenIndex } from './open-index.js';
import type { Segment } from './segment.js';
import type { Snapshot } from './snapshot.js';
import { locate } from './writer.js';
import type { GetInclude, GetItem, IndexStats, ListIdsResult } from '../types/api.js';

async function readItem(
  id: string, segment: Segment, row: number, include: ReadonlySet<GetInclude>,
): Promise<GetItem> {
  const [vector, contents, metadata] = await Promise.all([
    include.has('vector') ? segment.vector(row) : undefined,
    include.has('contents') ? segment.contents(row) : undefined,
    include.has('metadata') ? segment.metadata(row) : undefined,
  ]);
  return {
    id, ...(vector && { vector }), ...(contents !== undefined && { contents }),
    ...(metadata && { metadata }),
  };
}

/** Items by id, in the order asked; ids that do not exist are left out. */
export async function getItems(
  index: OpenIndex, snapshot: Snapshot, ids: readonly string[], include: ReadonlySet<GetInclude>,
): Promise<GetItem[]> {
  const found = await locate(index, snapshot, ids);
  const items = await Promise.all(ids.map(async (id) => {
    const place = found.get(id);
    return place && readItem(id, place.segment, place.row, include);
  }));
  return items.filter((item) => item !== undefined);
}

export async function listIds(snapshot: Snapshot): Promise<ListIdsResult> {
  const ids: string[] = [];
  for (const [s, segment] of snapshot.segments.entries()) {
    const base = snapshot.bases[s] ?? 0;
    (await segment.ids()).forEach((id, row) => {
      if (snapshot.isLive(base + row)) ids.push(id);
    });
  }
  return { ids, count: ids.length };
}

/** Bytes of the objects of one commit. */
export function storedBytes(manifest: Manifest): number {
  return namedObjects(manifest).reduce((sum, ref) => sum + objectSize(ref), 0);
}

/** Figures of the last commit and of the memory of one handle. */
export async function readStats(index: OpenIndex, training: boolean): Promise<IndexStats> {
  const { store, cache, core } = index;
  const manifest = await store.refresh();
  const { metric, precision, autoTrain, dimension } = manifest.config;
  const trained = manifest.clustering ? 'trained' : 'untrained';
  return {
    indexName: store.indexName, metric, precision, autoTrain, dimension: dimension || undefined,
    count: liveRows(manifest), nLists: manifest.clustering?.nLists ?? 0,
    trainingState: training ? 'training' : trained, generation: manifest.generation,
    segments: manifest.segments.length,
    deadRows: manifest.segments.reduce((sum, entry) => sum + entry.dead, 0),
    storedBytes: storedBytes(manifest), cachedBytes: cache.used, memoryBytes: core.memoryBytes,
    recovered: store.recovered,
  };
}
