/** The centroids of a trained index in the core's memory. */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { isRouted, routeDimension, routeRows } from './metric.js';
import { Sieve } from './sieve.js';

const LANES = 8;
/** Bytes of rows routed at a time, and the least rows that keep the kernel busy. */
const ROUTE_BYTES = 1 << 19;
const LEAST_ROWS = 32;

/** Memory for the origin of codes, and to encode them with. */
export function takeOrigin(arena: Arena, dimension: number): number {
  return arena.take(dimension * 12 + 384);
}

/** Centroids packed for ranking and, once rows are assigned, as a sieve. */
export class Clustering {
  readonly core: Core;
  readonly nLists: number;
  readonly config: IndexConfig;
  readonly maxNorm: number;
  readonly packed: number;
  readonly halfNorms: number;
  /** Memory that lives as long as it. */
  readonly arena: Arena;
  /** What codes of rows in lists lie about (`sv_codes_encode`); 0 until some were assigned. */
  origin = 0;
  #sieve: Sieve | undefined;

  constructor(core: Core, config: IndexConfig, centroids: Float32Array, maxNorm: number) {
    this.core = core;
    this.config = config;
    this.maxNorm = maxNorm;
    const dim = this.dimension;
    this.nLists = centroids.length / dim;
    this.arena = core.arena();
    this.packed = this.arena.take(core.exports.sv_pack_size(this.nLists, dim) * 4);
    this.halfNorms = this.arena.take((this.nLists + LANES) * 4);
    core.withScratch((s) => core.exports.sv_pack(
      s.put(centroids), this.nLists, dim, this.packed, this.halfNorms,
    ));
  }

  /** The routed dimension, that of the centroids. */
  get dimension(): number {
    return routeDimension(this.config.metric, this.config.dimension);
  }

  /** What queries do without: the centroids as a sieve, and their mean. */
  #forRows(): Sieve {
    const { arena, core, dimension, nLists } = this;
    return core.withScratch((s) => {
      const rows = s.take(nLists * dimension * 4);
      core.exports.sv_unpack(this.packed, nLists, dimension, rows);
      this.origin = takeOrigin(arena, dimension);
      core.exports.sv_codes_origin(0, rows, nLists, dimension, this.origin);
      return new Sieve(core, arena, rows, nLists, dimension);
    });
  }

  /**
   * The nearest lists of n rows at `rows` in wasm memory, and squared distances to their centroids
   * in routed space. `visit` sees each run of routed rows: where it lies, the number of its first
   * row, how many.
   */
  assign(
    rows: number, n: number, lists: number, distances: number,
    visit?: (routed: number, first: number, count: number) => void,
  ): void {
    const { core } = this;
    const sieve = this.#sieve ??= this.#forRows();
    core.withScratch((s) => {
      const scratch = sieve.scratch(s);
      const most = Math.max(LEAST_ROWS, Math.floor(ROUTE_BYTES / (this.dimension * 4)));
      const step = Math.min(n, most);
      const place = isRouted(this.config.metric) ? 0 : s.take(step * this.dimension * 4);
      for (let at = 0; at < n; at += step) {
        const count = Math.min(step, n - at);
        const row = rows + at * this.config.dimension * 4;
        const routed = place || row;
        if (place) routeRows(core, this.config, row, count, this.maxNorm, place);
        sieve.assign(routed, count, scratch, lists + at * 4, distances + at * 4);
        visit?.(routed, at, count);
      }
    });
  }

  free(): void {
    this.arena.free();
  }
}
