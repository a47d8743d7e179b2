/** From what a query asks for to its results: search, then the documents of the winners only. */
import { throwIfAborted } from './abort.js';
import { allOf } from './all.js';
import { SealvecError } from './errors.js';
import type { Query } from './filter-reader.js';
import type { Allowed } from './filter-rows.js';
import { filtering } from './filtering.js';
import type { OpenIndex } from './open-index.js';
import type { QueryPlan } from './query-plan.js';
import type { Hit, SearchOptions } from './scan.js';
import { search } from './search.js';
import type { Snapshot } from './snapshot.js';
import {
  checkDimension, checkVectors, cutQueries, type Queries, type VectorRows,
} from './vectors.js';
import type { QueryInclude, QueryItem, QueryResult } from '../types/api.js';

/** A filter's matches are searched exhaustively up to this share of live rows, or this many. */
const NARROW = 0.01;
const FEW = 1000;

interface Answers {
  readonly all: QueryItem[][];
  readonly rowsScanned: number;
  readonly exact: boolean;
}

/** Live rows that match a filter. */
async function filterRows(
  snapshot: Snapshot, filter: Query, signal: QueryPlan['signal'],
): Promise<Allowed> {
  throwIfAborted(signal);
  const { allowedRows } = await filtering();
  return allowedRows(snapshot, filter);
}

/** The item of one hit, with what was asked for. */
async function toItem(
  snapshot: Snapshot, hit: Hit, include: ReadonlySet<QueryInclude>,
): Promise<QueryItem> {
  const { segment, row } = snapshot.locate(hit.row);
  const [id, metadata, contents, vector] = await Promise.all([
    segment.id(row),
    include.has('metadata') ? segment.metadata(row) : undefined,
    include.has('contents') ? segment.contents(row) : undefined,
    include.has('vector') ? segment.vector(row) : undefined,
  ]);
  return {
    id,
    ...(include.has('distance') && { distance: hit.distance }),
    ...(metadata && { metadata }),
    ...(contents !== undefined && { contents }),
    ...(vector && { vector }),
  };
}

/** The item of one hit, if nothing has to be read for it. */
function itemAtHand(
  snapshot: Snapshot, { row, distance }: Hit, include: ReadonlySet<QueryInclude>,
): QueryItem | undefined {
  if (include.size > (include.has('distance') ? 1 : 0)) return undefined;
  const at = snapshot.segmentOf(row);
  const id = snapshot.segments[at]?.peekId(row - (snapshot.bases[at] ?? 0));
  if (id === undefined) return undefined;
  return include.size > 0 ? { id, distance } : { id };
}

/** Items nearest first, if nothing has to be read for them. */
function itemsAtHand(
  snapshot: Snapshot, hits: readonly Hit[], include: ReadonlySet<QueryInclude>,
): QueryItem[] | undefined {
  const items: QueryItem[] = [];
  for (const hit of hits) {
    const item = itemAtHand(snapshot, hit, include);
    if (!item) return undefined;
    items.push(item);
  }
  return sorted(hits, items);
}

/** Equal distances by id, so that the order never depends on the layout. */
function sorted(hits: readonly Hit[], items: QueryItem[]): QueryItem[] {
  if (hits.every(({ distance }, i) => i === 0 || distance !== hits[i - 1]?.distance)) return items;
  return items.map((item, i) => ({ item, distance: hits[i]?.distance ?? 0 }))
    .sort((x, y) => x.distance - y.distance || (x.item.id < y.item.id ? -1 : 1))
    .map(({ item }) => item);
}

/** Items nearest first. */
async function toItems(
  snapshot: Snapshot, hits: readonly Hit[], include: ReadonlySet<QueryInclude>,
): Promise<QueryItem[]> {
  return sorted(hits, await allOf(hits.map((hit) => toItem(snapshot, hit, include))));
}

/** Searches for all rows of queries, and has what was asked for of what is found. */
async function searchAll(
  index: OpenIndex, snapshot: Snapshot, plan: QueryPlan, options: SearchOptions,
  { values, count, dimension }: VectorRows,
): Promise<Answers> {
  const queries = Array.from({ length: count }, (_, q) =>
    values.subarray(q * dimension, (q + 1) * dimension));
  const searching = search(snapshot, queries, options, index.cache);
  const found = searching instanceof Promise ? await searching : searching;
  const near = found.map(({ hits }) => itemsAtHand(snapshot, hits, plan.include));
  const all = near.every((items) => items !== undefined) ? near
    : await allOf(found.map(async ({ hits }, q) =>
      near[q] ?? toItems(snapshot, hits, plan.include)));
  return {
    all, rowsScanned: found.reduce((sum, { rowsScanned }) => sum + rowsScanned, 0),
    exact: found.every(({ exact }) => exact),
  };
}

/** Answers queries from one snapshot. */
export async function runQuery(
  index: OpenIndex, snapshot: Snapshot, plan: QueryPlan, given: Queries,
): Promise<QueryResult<QueryItem[] | QueryItem[][]>> {
  const { config } = snapshot.manifest;
  const { rows, naming, form } = cutQueries(given, config.dimension);
  checkDimension(config.dimension, rows.dimension, naming.row(0));
  if (snapshot.liveCount === 0) {
    checkVectors(index.core, naming, rows, config);
    const none = Array.from({ length: rows.count }, (): QueryItem[] => []);
    return { results: form === 'many' ? none : [], exact: true, rowsScanned: 0 };
  }
  const filtered = plan.filter && await filterRows(snapshot, plan.filter, plan.signal);
  const { liveCount } = snapshot;
  const matches = filtered?.count ?? liveCount;
  const narrow = filtered !== undefined && matches <= Math.max(liveCount * NARROW, FEW);
  const arena = index.core.arena();
  const options: SearchOptions = {
    topK: plan.topK, targetRecall: plan.targetRecall, signal: plan.signal,
    nProbes: plan.nProbes, whole: narrow, share: matches / liveCount,
    allowed: filtered ? arena.put(filtered.bits) : 0,
  };
  try {
    const { all, rowsScanned, exact } = await searchAll(index, snapshot, plan, options, rows);
    return { results: form === 'many' ? all : all[0] ?? [], exact, rowsScanned };
  } catch (error) {
    // What is wrong with a query is found by the core; this says it.
    if (error instanceof SealvecError && error.code === 'INVALID_ARGUMENT') {
      checkVectors(index.core, naming, rows, config);
    }
    throw error;
  } finally {
    arena.free();
  }
}
