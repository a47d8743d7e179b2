/** From the options of a query to its results: search, then the documents of the winners only. */
import { throwIfAborted } from './abort.js';
import { readEmbeddable } from './documents.js';
import { compileFilter } from './filter.js';
import type { OpenIndex } from './open-index.js';
import { type Hit, search, type SearchOptions } from './search.js';
import type { Snapshot } from './snapshot.js';
import {
  type CallKey, invalid, KEY, readArray, readCallKey, readChoices, reading, readInteger, readNumber,
  readOptions, readSignal, refuse,
} from './validate.js';
import { checkVectors, copyQueries, cutQueries, type Queries } from './vectors.js';
import type { AbortSignalLike, QueryInclude, QueryItem, QueryResult } from '../types/api.js';

const MAX_K = 1_048_576;
const MAX_PROBES = 2 ** 31;
const OPTIONS = [
  'queryVectors', 'queryContents', 'topK', 'nProbes', 'targetRecall', 'filters', 'include',
  'signal', ...KEY,
] as const;
const INCLUDES: readonly QueryInclude[] = ['distance', 'metadata', 'contents', 'vector'];
/** Share of live rows under which a filter's matches are searched exhaustively. */
const NARROW = 0.05;

export interface QueryPlan {
  /** Undefined when texts are to be embedded. */
  readonly queries: Queries | undefined;
  readonly texts: readonly string[];
  /** Whether the texts came as a list. */
  readonly listed: boolean;
  readonly topK: number;
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  readonly matches: ReturnType<typeof compileFilter> | undefined;
  readonly include: ReadonlySet<QueryInclude>;
  readonly signal: AbortSignalLike | undefined;
  readonly key: CallKey | undefined;
}

type Given = Partial<Record<string, unknown>>;

function readTexts(value: unknown, embeds: boolean): string[] {
  const argument = 'queryContents';
  if (typeof value === 'string') return readTexts([value], embeds);
  const texts = readArray(argument, value, 'a text or an array of texts', (text, i) =>
    readEmbeddable(`${argument}[${i}]`, text));
  if (texts.length === 0) invalid(argument, 'at least one text', texts);
  if (!embeds) refuse(argument, 'an index opened with an embed function', 'one without');
  return texts;
}

function readQueried(
  { queryVectors, queryContents }: Given, embeds: boolean,
): Pick<QueryPlan, 'queries' | 'texts' | 'listed'> {
  if (queryContents === undefined) {
    if (queryVectors === undefined) invalid('queryVectors', 'one vector or many', undefined);
    return { queries: copyQueries(queryVectors), texts: [], listed: false };
  }
  const texts = readTexts(queryContents, embeds);
  if (queryVectors !== undefined) {
    refuse('queryContents', 'either queryVectors or queryContents', 'both');
  }
  return { queries: undefined, texts, listed: typeof queryContents !== 'string' };
}

/** Checks and copies everything about a query but what takes the index's dimension to check. */
export function readPlan(options: unknown, embeds: boolean): QueryPlan {
  const given = readOptions('query', options, OPTIONS);
  const { topK = 100, nProbes, targetRecall = 0.95, filters, include = ['distance'] } = given;
  return {
    ...readQueried(given, embeds),
    topK: readInteger('topK', topK, 1, MAX_K),
    nProbes: nProbes === undefined ? undefined : readInteger('nProbes', nProbes, 1, MAX_PROBES),
    targetRecall: readNumber('targetRecall', targetRecall, 0, 1, true),
    matches: filters === undefined ? undefined : reading('filters', () => compileFilter(filters)),
    include: readChoices('include', include, INCLUDES),
    signal: readSignal(given.signal),
    key: readCallKey(given),
  };
}

/** Bit per row: alive, and its metadata matches. */
async function allowedRows(
  snapshot: Snapshot, { matches, signal }: QueryPlan,
): Promise<{ allowed: Uint8Array; count: number } | undefined> {
  if (!matches) return undefined;
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

/** Items nearest first; equal distances by id, so that the order never depends on the layout. */
async function toItems(
  snapshot: Snapshot, hits: readonly Hit[], include: ReadonlySet<QueryInclude>,
): Promise<QueryItem[]> {
  const items = await Promise.all(
    hits.map(async (hit) => ({ hit, item: await toItem(snapshot, hit, include) })),
  );
  items.sort((x, y) => x.hit.distance - y.hit.distance || (x.item.id < y.item.id ? -1 : 1));
  return items.map(({ item }) => item);
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
  const options: SearchOptions = {
    topK: plan.topK, targetRecall: plan.targetRecall, signal: plan.signal,
    nProbes: narrow ? snapshot.nLists : plan.nProbes, allowed: filtered?.allowed,
  };
  const all: QueryItem[][] = [];
  let rowsScanned = 0;
  let exact = true;
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
  return { results: queries.form === 'many' ? all : all[0] ?? [], exact, rowsScanned };
}
