/** The centroids of a trained index in the core's memory. */
import type { Arena, Core } from './core.js';
import type { IndexConfig } from './manifest.js';
import { isRouted, routeDimension, routeRows } from './metric.js';
import { Sieve } from './sieve.js';
import type { RecallCurve } from './stop-ratio.js';

const LANES = 8;
/** Bytes of rows routed at a time, and the least rows that keep the kernel busy. */
const ROUTE_BYTES = 1 << 19;
const LEAST_ROWS = 32;

/** Centroids packed for ranking and, once rows are assigned, as a sieve. */
export class Clustering {
  readonly core: Core;
  readonly nLists: number;
  readonly config: IndexConfig;
  readonly maxNorm: number;
  /** Undefined while training. */
  readonly curve: RecallCurve | undefined;
  /** Names the object it came from; empty while training. */
  readonly name: string;
  readonly packed: number;
  readonly halfNorms: number;
  /** Memory that lives as long as it. */
  readonly arena: Arena;
  #sieve: Sieve | undefined;
  #uses = 0;

  constructor(
    core: Core, config: IndexConfig, centroids: Float32Array, maxNorm: number,
    curve?: RecallCurve, name = '',
  ) {
    this.core = core;
    this.config = config;
    this.maxNorm = maxNorm;
    this.curve = curve;
    this.name = name;
    const dim = this.dimension;
    this.nLists = centroids.length / dim;
    this.arena = core.arena();
    this.packed = this.arena.take(core.exports.sv_pack_size(this.nLists, dim) * 4);
    this.halfNorms = this.arena.take(Math.ceil(this.nLists / LANES) * LANES * 4);
    core.withScratch((s) => core.check(core.exports.sv_pack(
      s.put(centroids), this.nLists, dim, this.packed, this.halfNorms,
    ), 'centroids'));
  }

  /** The routed dimension, that of the centroids. */
  get dimension(): number {
    return routeDimension(this.config.metric, this.config.dimension);
  }

  /** The centroids as a sieve, out of the packed matrix. */
  #pack(): Sieve {
    const { core, dimension, nLists } = this;
    return core.withScratch((s) => {
      const rows = s.take(nLists * dimension * 4);
      core.exports.sv_unpack(this.packed, nLists, dimension, rows);
      return new Sieve(core, this.arena, rows, nLists, dimension);
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
    // Queries do without.
    const sieve = this.#sieve ??= this.#pack();
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

  use(): this {
    this.#uses++;
    return this;
  }

  /** Gives up one use; the last one frees. */
  free(): void {
    if (--this.#uses > 0) return;
    this.arena.free();
  }
}
