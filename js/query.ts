/** From what a query asks for to its results: search, then the documents of the winners only. */
import { throwIfAborted } from './abort.js';
import { late } from './late.js';
import type { OpenIndex } from './open-index.js';
import type { QueryPlan } from './query-plan.js';
import { type Hit, search, type SearchOptions } from './search.js';
import type { Snapshot } from './snapshot.js';
import { checkVectors, cutQueries, type Queries } from './vectors.js';
import type { QueryInclude, QueryItem, QueryResult } from '../types/api.js';

/** Share of live rows under which a filter's matches are searched exhaustively. */
const NARROW = 0.05;

/** Bit per row: alive, and its metadata matches. */
async function allowedRows(
  snapshot: Snapshot, { filter, signal }: QueryPlan,
): Promise<{ allowed: Uint8Array; count: number } | undefined> {
  if (!filter) return undefined;
  const { compileQuery } = await late(() => import('./filter.js'));
  const matches = compileQuery(filter);
  const allowed = new Uint8Array(Math.ceil(snapshot.totalRows / 8));
  let count = 0;
  for (const [s, segment] of snapshot.segments.entries()) {
    throwIfAborted(signal);
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

/** Items nearest first; equal distances by id, so that the order never depends on the layout. */
async function toItems(
  snapshot: Snapshot, hits: readonly Hit[], include: ReadonlySet<QueryInclude>,
): Promise<QueryItem[]> {
  const items: QueryItem[] = [];
  for (const hit of hits) {
    const item = itemAtHand(snapshot, hit, include);
    if (!item) break;
    items.push(item);
  }
  if (items.length < hits.length) {
    const rest = hits.slice(items.length);
    items.push(...await Promise.all(rest.map((hit) => toItem(snapshot, hit, include))));
  }
  if (hits.every(({ distance }, i) => i === 0 || distance !== hits[i - 1]?.distance)) return items;
  return items.map((item, i) => ({ item, distance: hits[i]?.distance ?? 0 }))
    .sort((x, y) => x.distance - y.distance || (x.item.id < y.item.id ? -1 : 1))
    .map(({ item }) => item);
}

/** Answers queries from one snapshot. */
export async function runQuery(
  index: OpenIndex, snapshot: Snapshot, plan: QueryPlan, given: Queries,
): Promise<QueryResult<QueryItem[] | QueryItem[][]>> {
  const { config } = snapshot.manifest;
  const queries = cutQueries(given, config.dimension);
  const { values, count, dimension } = queries.rows;
  checkVectors(index.core, queries.naming, queries.rows, config);
  const filtered = await allowedRows(snapshot, plan);
  const narrow = filtered !== undefined && filtered.count <= snapshot.liveCount * NARROW;
  const arena = index.core.arena();
  const options: SearchOptions = {
    topK: plan.topK, targetRecall: plan.targetRecall, signal: plan.signal,
    nProbes: narrow ? snapshot.nLists : plan.nProbes,
    allowed: filtered ? arena.put(filtered.allowed) : 0,
  };
  const all: QueryItem[][] = [];
  let rowsScanned = 0;
  let exact = true;
  try {
  for (let q = 0; q < count; q++) {
    throwIfAborted(plan.signal);
    if (snapshot.liveCount === 0) {
      all.push([]);
      continue;
    }
    const query = values.subarray(q * dimension, (q + 1) * dimension);
    const found = await search(snapshot, query, options, index.cache);
    rowsScanned += found.rowsScanned;
    exact &&= found.exact;
    all.push(await toItems(snapshot, found.hits, plan.include));
  }
  } finally {
    arena.free();
  }
  return { results: queries.form === 'many' ? all : all[0] ?? [], exact, rowsScanned };
}
