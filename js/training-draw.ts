/**
 * The rows that training clusters, and others on which it measures recall: drawn from all living
 * rows, opened by all runners, put together by the first. The two never overlap, so the recall is
 * that of rows which no centroid has followed.
 */
import { allOf } from './all.js';
import { breathe } from './breathe.js';
import { hex } from './bytes.js';
import type { Core } from './core.js';
import type { ObjectContext } from './object.js';
import type { Runner } from './runner.js';
import type { Team } from './team.js';
import { livingPieces } from './training-rows.js';
import type { Picks, Piece, SampleResult, Source, Span, TaskResults } from '../types/protocol.js';

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
  /** The rows that runners keep, by their names. */
  readonly kept: ReadonlyMap<Runner, string>;
}

/** m distinct numbers below n, ascending; the same for the same seed. */
function draw(core: Core, n: number, m: number, seed: bigint): Uint32Array {
  return core.withScratch((s) => {
    const out = s.take(m * 4);
    core.check(core.exports.sv_sample(n, m, seed, out), 'seed');
    return core.words(out, m);
  });
}

/** One of so many parts of all rows, equal but for the last. */
function cutPart(sources: readonly Source[], part: number, parts: number): Span[] {
  const total = sources.reduce((sum, { entry }) => sum + entry.rows, 0);
  const most = Math.ceil(total / parts);
  const low = Math.min(total, part * most);
  const high = Math.min(total, low + most);
  let first = 0;
  return sources.map((source) => {
    const { rows } = source.entry;
    const within = (at: number): number => Math.min(Math.max(at - first, 0), rows);
    const range = { ...source, from: within(low), to: within(high) };
    first += rows;
    return range;
  }).filter(({ from, to }) => from < to);
}

/** The rows at some places (ascending) among those of all pieces. */
function pickRows(pieces: readonly Piece[], places: Uint32Array): Picks[] {
  let [first, at] = [0, 0];
  return pieces.map(({ entry, rows }) => {
    const [from, end] = [at, first + rows.length];
    while (at < places.length && (places[at] ?? 0) < end) at++;
    const picked = places.subarray(from, at).map((place) => rows[place - first] ?? 0);
    first = end;
    return { entry, rows: picked };
  }).filter(({ rows }) => rows.length > 0);
}

/** Names the rows of pieces: of an object as many dead rows are always the same. */
export function nameRows(pieces: readonly Piece[]): string {
  return pieces.map(({ entry: { object, dead }, from, to }) =>
    [hex(object.id), dead, from, to].join()).join(' ');
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
  const ranks = draw(core, alive, room, BigInt(seed));
  const places = draw(core, room, queries, BigInt(seed) + (1n << 32n));
  const all = new Uint32Array(alive);
  const kept = new Map<Runner, string>();
  const opening: Promise<TaskResults['open']>[] = [];
  let before = 0;
  for (const [part, runner] of team.all.entries()) {
    const { pieces, numbers } =
      await livingPieces(context, cutPart(sources, part, team.all.length));
    const first = before;
    all.set(numbers, first);
    before += numbers.length;
    const drawn = ranks.filter((rank) => rank >= first && rank < before)
      .map((rank) => rank - first);
    if (keep) kept.set(runner, nameRows(pieces));
    const picked = keep ? { rows: pieces, drawn }
      : { rows: pickRows(pieces, drawn), drawn: undefined };
    const task = { name: 'open', ...picked, room: part === 0 ? room : 0 } as const;
    const running = runner.run(task, (done) => onProgress(OPENING * done));
    running.catch(() => undefined);
    opening.push(running);
    await breathe();
  }
  const given = (await allOf(opening)).filter((handed) => handed !== undefined);
  const sample = await team.first.run({ name: 'sample', places, given }, onProgress);
  return { ...sample, numbers: places.map((place) => all[ranks[place] ?? 0] ?? 0), kept };
}
