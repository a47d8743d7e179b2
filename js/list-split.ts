/**
 * Splitting lists that outgrew the others, in the seats of lists that emptied: what a trained index
 * needs between two trainings.
 *
 * 1. K-means within such a list finds centroids in place of its own. Each takes the number of a
 *    list that has next to no rows left, or a new one.
 * 2. The rows of all these lists move: they are put into the lists of the new centroids, in new
 *    segments, and die where they were. No other row is read.
 * 3. What another writer put into lists meanwhile went by the old centroids: it is in no list from
 *    then on, until merging puts it into those there are.
 * 4. Recall is measured on some of the rows that move, and the curve that training measured raised
 *    to what they need (list-recall.ts).
 *
 * As LIRE of SPFresh (Xu et al., SOSP 2023), but for the rows of lists nearby, which stay where
 * they are until their segment is rewritten.
 */
import { breathe } from './breathe.js';
import { hex } from './bytes.js';
import { encodeParams, readCentroids, sealCentroids, type StoredCentroids } from './centroids.js';
import { Clustering } from './clustering.js';
import type { Core } from './core.js';
import type { Draft } from './draft.js';
import { findLevel } from './kmeans.js';
import { chooseReseating, type Reseating } from './list-choice.js';
import { MovedRecall } from './list-recall.js';
import { countLists, drawEvenly, listRuns, longestRow, openRouted, type Run } from './list-rows.js';
import {
  type Clustering as ClusteringEntry, type IndexConfig, type Manifest, sameClustering,
  type SegmentEntry,
} from './manifest.js';
import { attempt, cutPiece, groupPieces } from './merge.js';
import { MERGE_BYTES } from './merge-choice.js';
import { rerouteCentroids, routeDimension } from './metric.js';
import type { ObjectRef } from './object.js';
import type { OpenIndex } from './open-index.js';
import { packSegment } from './pack.js';
import { type Piece, readPieces } from './rewrite.js';
import { Sieve } from './sieve.js';
import type { Snapshot } from './snapshot.js';
import type { RecallCurve } from './stop-ratio.js';
import { buryRows } from './tombstones.js';

/** Rows per new list that its centroid is found on. */
const SAMPLE_ROWS = 256;
/** Rows that tell how long the longest is, and that look for their neighbours. */
const NORM_ROWS = 4096;
const QUERIES = 200;
const ITERATIONS = 10;
/** A list of which one part keeps more than this share cannot be split: its rows are the same. */
const UNSPLIT = 0.9;

/** The largest share of n rows that one of some centroids has. */
function largestShare(
  core: Core, rows: number, n: number, centroids: Float32Array, dim: number,
): number {
  return core.withScratch((s) => {
    const sieve = new Sieve(core, s, s.put(centroids), centroids.length / dim, dim);
    const lists = s.take(n * 4);
    sieve.assign(rows, n, sieve.scratch(s), lists, s.take(n * 4));
    const counts = new Uint32Array(sieve.n);
    for (const list of core.words(lists, n)) counts[list] = (counts[list] ?? 0) + 1;
    return Math.max(...counts) / n;
  });
}

/** The centroids that a list is split into; undefined when its rows do not part. */
async function splitList(
  { core, store }: OpenIndex, config: IndexConfig, runs: readonly Run[], parts: number,
  maxNorm: number,
): Promise<Float32Array | undefined> {
  const dim = routeDimension(config.metric, config.dimension);
  const arena = core.arena();
  try {
    const places = drawEvenly(runs, parts * SAMPLE_ROWS);
    const { pointer, n } = await openRouted(store, config, arena, runs, places, maxNorm);
    const options =
      { k: parts, maxIters: ITERATIONS, tolerance: 0, stall: 0, balance: 0, seed: parts };
    const found = await findLevel(core, { pointer, n, dim }, options, parts, ITERATIONS, breathe);
    return largestShare(core, pointer, n, found, dim) > UNSPLIT ? undefined : found;
  } finally {
    arena.free();
  }
}

/** All centroids after the splits, and the lists whose rows move. */
interface Reseated {
  readonly centroids: Float32Array;
  readonly maxNorm: number;
  readonly moving: ReadonlySet<number>;
}

/** Puts the centroids of parts in the place of the list itself, of emptied ones, and at the end. */
async function reseat(
  index: OpenIndex, snapshot: Snapshot, { outgrown, emptied }: Reseating, before: StoredCentroids,
): Promise<Reseated | undefined> {
  const { manifest: { config }, nLists } = snapshot;
  const rows = listRuns(snapshot, new Set(outgrown.map(({ list }) => list)));
  const maxNorm = await longestRow(
    index.store, config, rows, drawEvenly(rows, NORM_ROWS), before.maxNorm,
  );
  const places = new Map<number, Float32Array>();
  const spare = [...emptied];
  let next = nLists;
  const dim = routeDimension(config.metric, config.dimension);
  for (const { list, parts } of outgrown) {
    const own = rows.filter((run) => run.list === list);
    const found = await splitList(index, config, own, parts, maxNorm);
    for (let part = 0; found && part < parts; part++) {
      const place = part === 0 ? list : spare.shift() ?? next++;
      places.set(place, found.subarray(part * dim, (part + 1) * dim));
    }
  }
  if (places.size === 0) return undefined;
  const centroids = new Float32Array(next * dim);
  centroids.set(before.centroids);
  rerouteCentroids(config, centroids.subarray(0, nLists * dim), before.maxNorm, maxNorm);
  for (const [place, centroid] of places) centroids.set(centroid, place * dim);
  return { centroids, maxNorm, moving: new Set(places.keys()) };
}

/** Writes the rows of runs as segments, in the lists that they now belong to. */
async function moveRows(
  runs: readonly Run[], clustering: Clustering, recall: MovedRecall, draft: Draft,
): Promise<SegmentEntry[]> {
  const { context } = draft;
  const { config } = clustering;
  const pieces = runs.flatMap(({ entry, rows }): Piece[] => {
    const whole = { entry, rows, from: rows[0] ?? 0, to: (rows.at(-1) ?? -1) + 1 };
    return cutPiece(whole, config, MERGE_BYTES);
  });
  const moved: SegmentEntry[] = [];
  for (const group of groupPieces(pieces, config, MERGE_BYTES)) {
    const arena = context.core.arena();
    try {
      const batch = await readPieces(context, arena, group, config);
      const lists = recall.assign(arena, batch);
      const { entry, bytes } = packSegment(context, config, batch, clustering, lists);
      await draft.write(entry.object, bytes);
      moved.push(entry);
    } finally {
      arena.free();
    }
    await breathe();
  }
  return moved;
}

/** What takes the place of the rows of runs. */
interface Moved {
  readonly segments: readonly SegmentEntry[];
  readonly clustering: { readonly object: ObjectRef; readonly nLists: number };
}

/** Moves the rows to the lists of the new centroids, and seals these. */
async function move(
  { core, store }: OpenIndex, config: IndexConfig, runs: readonly Run[],
  { centroids, maxNorm }: Reseated, before: RecallCurve, draft: Draft,
): Promise<Moved> {
  const clustering = new Clustering(core, config, centroids, maxNorm);
  const arena = core.arena();
  let recall: MovedRecall | undefined;
  try {
    const { nLists, dimension } = clustering;
    const places = drawEvenly(runs, QUERIES);
    const { pointer, n } = await openRouted(store, config, arena, runs, places, maxNorm);
    recall = new MovedRecall(core, clustering, places, core.floats(pointer, n * dimension));
    const segments = await moveRows(runs, clustering, recall, draft);
    const params = encodeParams(maxNorm, await recall.curve(before));
    const { ref: object, bytes } = sealCentroids(
      draft.context, centroids, dimension, params,
    );
    await draft.write(object, bytes);
    return { segments, clustering: { object, nLists } };
  } finally {
    recall?.free();
    arena.free();
    clustering.free();
  }
}

/** Commits, unless another writer changed what rows were taken from; whether it did. */
async function commitSplit(
  index: OpenIndex, base: Manifest, runs: readonly Run[], { segments: fresh, clustering }: Moved,
  draft: Draft,
): Promise<boolean> {
  const taken = new Map<string, number[]>();
  for (const { entry, rows } of runs) {
    const name = hex(entry.object.id);
    taken.set(name, [...taken.get(name) ?? [], ...rows]);
  }
  const known = new Map(base.segments.map((entry) => [hex(entry.object.id), entry]));
  await index.store.commit(draft, async (newest) => {
    const now = new Map(newest.segments.map((entry) => [hex(entry.object.id), entry]));
    const same = sameClustering(base, newest) &&
      [...taken.keys()].every((name) => now.get(name)?.dead === known.get(name)?.dead);
    if (!same) return undefined;
    const segments: SegmentEntry[] = [];
    for (const [name, entry] of now) {
      const left = await buryRows(draft, entry, taken.get(name) ?? []);
      if (left) segments.push({ ...left, listed: left.listed && known.has(name) });
    }
    return { clustering, segments: [...segments, ...fresh] };
  });
  return draft.fate === 'named';
}

async function splitOnce(
  index: OpenIndex, snapshot: Snapshot, entry: ClusteringEntry,
): Promise<boolean> {
  const { manifest: base } = snapshot;
  const reseating = chooseReseating(countLists(snapshot));
  if (reseating.outgrown.length === 0) return false;
  const before = await readCentroids(index.store, entry, base.config);
  const reseated = await reseat(index, snapshot, reseating, before);
  if (!reseated) return false;
  const runs = listRuns(snapshot, reseated.moving);
  const draft = index.store.draft(base);
  try {
    const moved = await move(index, base.config, runs, reseated, before.curve, draft);
    return await commitSplit(index, base, runs, moved, draft);
  } finally {
    await draft.discard();
  }
}

/** Splits lists that have outgrown the others; whether there were any, and nobody came first. */
export async function splitLists(index: OpenIndex): Promise<boolean> {
  const { manifest } = index.store;
  const { clustering } = manifest;
  if (!clustering) return false;
  return attempt(index, manifest, () => index.withSnapshot(
    manifest, (snapshot) => splitOnce(index, snapshot, clustering),
  ));
}
