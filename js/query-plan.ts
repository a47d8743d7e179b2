/** What a query asks for: its options, checked. */
import { readEmbeddable } from './documents.js';
import { type Query, readFilter } from './filter-reader.js';
import {
  type CallKey, invalid, KEY, readArray, readCallKey, readChoices, reading, readInteger, readNumber,
  readOptions, readSignal, refuse,
} from './validate.js';
import { copyQueries, type Queries } from './vectors.js';
import type { AbortSignalLike, QueryInclude } from '../types/api.js';

const MAX_K = 1_048_576;
const MAX_PROBES = 2 ** 31;
const OPTIONS = [
  'queryVectors', 'queryContents', 'topK', 'nProbes', 'targetRecall', 'filters', 'include',
  'signal', ...KEY,
] as const;
const INCLUDES: readonly QueryInclude[] = ['distance', 'metadata', 'contents', 'vector'];

export interface QueryPlan {
  /** Undefined when texts are to be embedded. */
  readonly queries: Queries | undefined;
  readonly texts: readonly string[];
  /** Whether the texts came as a list. */
  readonly listed: boolean;
  readonly topK: number;
  readonly nProbes: number | undefined;
  readonly targetRecall: number;
  readonly filter: Query | undefined;
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
  const { queries, texts, listed } = readQueried(given, embeds);
  // Not spread: V8 would lay out each plan anew, and keep what they refer to for long.
  return {
    queries, texts, listed,
    topK: readInteger('topK', topK, 1, MAX_K),
    nProbes: nProbes === undefined ? undefined : readInteger('nProbes', nProbes, 1, MAX_PROBES),
    targetRecall: readNumber('targetRecall', targetRecall, 0, 1, true),
    filter: filters === undefined ? undefined : reading('filters', () => readFilter(filters)),
    include: readChoices('include', include, INCLUDES),
    signal: readSignal(given.signal),
    key: readCallKey(given),
  };
}
