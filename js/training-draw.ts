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
import { livingPieces, pickRows } from './training-rows.js';
import type { Piece, SampleResult, Source, Span } from '../types/protocol.js';

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
  const parts: { pieces: Piece[]; drawn: Uint32Array }[] = [];
  let before = 0;
  for (let part = 0; part < team.all.length; part++) {
    const { pieces, numbers } =
      await livingPieces(context, cutPart(sources, part, team.all.length));
    const [first, end] = [before, before + numbers.length];
    all.set(numbers, first);
    before = end;
    const drawn = ranks.filter((rank) => rank >= first && rank < end).map((rank) => rank - first);
    parts.push({ pieces, drawn });
    await breathe();
  }
  const kept = new Map<Runner, string>();
  const opened = await allOf(team.all.map(async (runner, i) => {
    const { pieces = [], drawn = new Uint32Array() } = parts[i] ?? {};
    if (keep) kept.set(runner, nameRows(pieces));
    const picked = keep ? { rows: pieces, drawn }
      : { rows: pickRows(pieces, drawn), drawn: undefined };
    const task = { name: 'open', ...picked, room: i === 0 ? room : 0 } as const;
    return runner.run(task, (done) => onProgress(OPENING * done));
  }));
  const given = opened.filter((handed) => handed !== undefined);
  const sample = await team.first.run({ name: 'sample', places, given }, onProgress);
  return { ...sample, numbers: places.map((place) => all[ranks[place] ?? 0] ?? 0), kept };
}
