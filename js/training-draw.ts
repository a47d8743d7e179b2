/**
 * The rows that training clusters, and others on which it measures recall: drawn from all living
 * rows, opened by all runners, put together by the first. The two never overlap, so the recall is
 * that of rows which no centroid has followed.
 */
import { allOf } from './all.js';
import type { Core } from './core.js';
import type { ObjectContext } from './object.js';
import type { Team } from './team.js';
import { deadBits, livingRows } from './training-rows.js';
import type { SampleResult, Source, Span } from '../types/protocol.js';

/** Share of the work that is opening. */
const OPENING = 0.9;

/** Which rows of an index are drawn; the same for the same seed. */
export interface Draw {
  readonly sources: readonly Source[];
  /** Rows to cluster. */
  readonly rows: number;
  /** Others, held out, that recall is measured on. */
  readonly queries: number;
  readonly seed: number;
}

/** What the first runner tells of the sample, and the row numbers of the queries, ascending. */
export interface Measured extends SampleResult {
  readonly numbers: Uint32Array;
}

/** Rows of one source that were drawn, ascending. */
interface Drawn extends Source {
  readonly rows: Uint32Array;
}

/** m distinct numbers below n, ascending; the same for the same seed. */
function draw(core: Core, n: number, m: number, seed: bigint): Uint32Array {
  return core.withScratch((s) => {
    const out = s.take(m * 4);
    core.check(core.exports.sv_sample(n, m, seed, out), 'seed');
    return core.words(out, m);
  });
}

/** Rows of the sources by their ranks among all that are alive. */
async function locate(
  context: ObjectContext, sources: readonly Source[], ranks: Uint32Array,
): Promise<Drawn[]> {
  const drawn: Drawn[] = [];
  let first = 0;
  let at = 0;
  for (const source of sources) {
    const { entry } = source;
    const from = at;
    const end = first + entry.rows - entry.dead;
    while (at < ranks.length && (ranks[at] ?? 0) < end) at++;
    if (at > from) {
      const living = livingRows(await deadBits(context, entry), 0, entry.rows);
      const rows = ranks.subarray(from, at).map((rank) => living[rank - first] ?? 0);
      drawn.push({ ...source, rows });
    }
    first = end;
  }
  return drawn;
}

/** One of so many parts of all rows, equal but for the last row. */
function cutPart(sources: readonly Source[], part: number, parts: number): Span[] {
  const total = sources.reduce((sum, { entry }) => sum + entry.rows, 0);
  const low = Math.floor(total * part / parts);
  const high = Math.floor(total * (part + 1) / parts);
  let first = 0;
  return sources.map((source) => {
    const { rows } = source.entry;
    const within = (at: number): number => Math.min(Math.max(at - first, 0), rows);
    const range = { ...source, from: within(low), to: within(high) };
    first += rows;
    return range;
  }).filter(({ from, to }) => from < to);
}

/** The numbers of the rows at some places (ascending) among all that were drawn. */
function numbersAt(drawn: readonly Drawn[], places: Uint32Array): Uint32Array {
  const numbers = new Uint32Array(places.length);
  let first = 0;
  let at = 0;
  for (const { base, rows } of drawn) {
    const end = first + rows.length;
    for (let place; (place = places[at] ?? end) < end; at++) {
      numbers[at] = base + (rows[place - first] ?? 0);
    }
    first = end;
  }
  return numbers;
}

/**
 * Draws a sample, which the first runner then holds. With `keep` each keeps all rows of its part
 * of the index decrypted.
 */
export async function drawSample(
  team: Team, context: ObjectContext, { sources, rows, queries, seed }: Draw, keep: boolean,
  onProgress: (fraction: number) => void,
): Promise<Measured> {
  const { core } = context;
  const alive = sources.reduce((sum, { entry }) => sum + entry.rows - entry.dead, 0);
  const room = rows + queries;
  const drawn = await locate(context, sources, draw(core, alive, room, BigInt(seed)));
  const places = draw(core, room, queries, BigInt(seed) + (1n << 32n));
  const parts = team.all.length;
  const opened = await allOf(team.all.map((runner, part) => {
    const spans = cutPart(sources, part, parts);
    const picks = spans.map(({ entry, base, from, to }) => {
      const found = drawn.find((one) => one.base === base)?.rows ?? new Uint32Array();
      return { entry, rows: found.filter((row) => row >= from && row < to) };
    });
    const share = { picks, keep: keep ? spans : [], room: part === 0 ? room : 0 };
    return runner.run({ name: 'open', ...share }, (done) => onProgress(OPENING * done));
  }));
  const given = opened.filter((handed) => handed !== undefined);
  const sample = await team.first.run({ name: 'sample', places, given }, onProgress);
  return { ...sample, numbers: numbersAt(drawn, places) };
}
