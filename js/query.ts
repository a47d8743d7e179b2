/** From the options of a query to its results: search, then the documents of the winners only. */
import { compileFilter } from './filter.js';
import { readQueries } from './items.js';
import type { OpenIndex } from './open-index.js';
import { type Hit, search, type SearchOptions } from './search.js';
import type { Snapshot } from './snapshot.js';
import { invalid, readChoices, readInteger, readNumber, readSignal } from './validate.js';
import type { AbortSignalLike, QueryInclude, QueryItem, QueryResult } from '../types/api.js';

const MAX_K = 1_048_576;
const INCLUDES: readonly QueryInclude[] = ['distance', 'metadata', 'contents', 'vector'];
/** Share of live rows under which a filter's matches are searched exhaustively. */
const NARROW = 0.05;

export interface QueryPlan {
  readonly queryVectors: unknown;
  readonly topK: number;
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  readonly matches: ReturnType<typeof compileFilter> | undefined;
  readonly include: Set<QueryInclude>;
  readonly signal: AbortSignalLike | undefined;
}

/** Checks everything about a query but its vectors, which need the index's dimension. */
export function readPlan(options: Partial<Record<string, unknown>>): QueryPlan {
  const { queryVectors, topK = 100, nProbes, targetRecall = 0.95, filters, include = ['distance'], signal } = options;
  if (queryVectors === undefined) invalid('queryVectors', 'one vector or many', undefined);
  return {
    queryVectors,
    topK: readInteger('topK', topK, 1, MAX_K),
    nProbes: nProbes === undefined ? undefined : readInteger('nProbes', nProbes, 1, 2 ** 31),
    targetRecall: readNumber('targetRecall', targetRecall, 0, 1, true),
    matches: filters === undefined ? undefined : compileFilter(filters),
    include: readChoices('include', include, INCLUDES),
    signal: readSignal(signal),
  };
}

/** Bit per row: alive, and its metadata matches. */
async function allowedRows(snapshot: Snapshot, matches: NonNullable<QueryPlan['matches']>): Promise<{ allowed: Uint8Array; count: number }> {
  const allowed = new Uint8Array(Math.ceil(snapshot.totalRows / 8));
  let count = 0;
  for (const [s, segment] of snapshot.segments.entries()) {
    const base = snapshot.bases[s] ?? 0;
    (await segment.allMetadata()).forEach((metadata, i) => {
      const row = base + i;
      if (!snapshot.isLive(row) || !matches(metadata)) return;
      allowed[row >> 3] = (allowed[row >> 3] ?? 0) | (1 << (row & 7));
      count++;
    });
  }
  return { allowed, count };
}

/** The item of one hit, with what was asked for. */
async function toItem(snapshot: Snapshot, hit: Hit, include: Set<QueryInclude>): Promise<QueryItem> {
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

/** Items nearest first; equal distances by id, so that the order never depends on the layout. */
async function toItems(snapshot: Snapshot, hits: readonly Hit[], include: Set<QueryInclude>): Promise<QueryItem[]> {
  const items = await Promise.all(hits.map(async (hit) => ({ hit, item: await toItem(snapshot, hit, include) })));
  items.sort((x, y) => x.hit.distance - y.hit.distance || (x.item.id < y.item.id ? -1 : 1));
  return items.map(({ item }) => item);
}

/** Answers a query from one snapshot. */
export async function runQuery(
  index: OpenIndex, snapshot: Snapshot, plan: QueryPlan,
): Promise<QueryResult<QueryItem[] | QueryItem[][]>> {
  const { config } = snapshot.manifest;
  const { vectors, count, many } = readQueries(index.core, plan.queryVectors, config);
  const filtered = plan.matches && await allowedRows(snapshot, plan.matches);
  const narrow = filtered !== undefined && filtered.count <= snapshot.liveCount * NARROW;
  const options: SearchOptions = {
    topK: plan.topK, targetRecall: plan.targetRecall, signal: plan.signal,
    nProbes: narrow ? snapshot.nLists : plan.nProbes, allowed: filtered?.allowed,
  };
  const all: QueryItem[][] = [];
  let rowsScanned = 0;
  let exact = true;
  for (let q = 0; q < count; q++) {
    if (snapshot.liveCount === 0) {
      all.push([]);
      continue;
    }
    const dimension = vectors.length / count;
    const query = vectors.subarray(q * dimension, (q + 1) * dimension);
    const found = await search(snapshot, query, options, index.cache);
    rowsScanned += found.rowsScanned;
    exact &&= found.exact;
    all.push(await toItems(snapshot, found.hits, plan.include));
  }
  return { results: many ? all : all[0] ?? [], exact, rowsScanned };
}
