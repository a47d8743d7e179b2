/**
 * The centroids of a trained index in the core's memory, and the curve by which a target recall
 * becomes a stop rule. A centroids object has two sections:
 *
 *   0: nLists rows of f32, dimension as routed (one more than the vectors' for inner product)
 *   1: max norm f32 | points u32 | points * (recall f32, stop ratio for 10 f32, for 100 f32),
 *      each column ascending
 */
import type { Core } from './core.js';
import { SealvecError } from './errors.js';
import type { Clustering as ClusteringEntry, IndexConfig } from './manifest.js';
import { coreMetric, isRouted, routeDimension } from './metric.js';
import { type ObjectContext, ObjectReader, sealObject } from './object.js';
import type { SealedObject } from '../types/protocol.js';

/** Stop ratios (`struct sv_scan`) that find a share of the 10 and of the 100 nearest. */
export interface RecallCurve {
  readonly recall: readonly number[];
  readonly at10: readonly number[];
  readonly at100: readonly number[];
}

/** The value at x between the points (xs ascending), Infinity beyond them. */
function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  const at = xs.findIndex((value) => value >= x);
  if (at < 0) return Infinity;
  const [low, high] = [xs[Math.max(at - 1, 0)] ?? 0, xs[at] ?? 0];
  const share = high > low ? (x - low) / (high - low) : 1;
  return (ys[Math.max(at - 1, 0)] ?? 0) * (1 - share) + (ys[at] ?? 0) * share;
}

const LANES = 8;
const MAX_POINTS = 4096;
/** Bytes of rows routed at a time, and the least rows that keep the kernel busy. */
const ROUTE_BYTES = 1 << 19;
const LEAST_ROWS = 32;

/** Centroids packed for ranking and, once rows are assigned, as a sieve. */
export class Clustering {
  readonly core: Core;
  readonly nLists: number;
  readonly config: IndexConfig;
  readonly maxNorm: number;
  readonly curve: RecallCurve;
  /** Names the object it came from; empty while training. */
  readonly name: string;
  readonly packed: number;
  readonly halfNorms: number;
  readonly #sizes: [number, number];
  #sieve: { readonly pointer: number; readonly size: number } | undefined;
  #uses = 0;

  constructor(
    core: Core, config: IndexConfig, centroids: Float32Array, maxNorm: number, curve: RecallCurve,
    name = '',
  ) {
    this.core = core;
    this.config = config;
    this.maxNorm = maxNorm;
    this.curve = curve;
    this.name = name;
    const dim = this.dimension;
    this.nLists = centroids.length / dim;
    this.#sizes = [
      core.exports.sv_pack_size(this.nLists, dim) * 4, Math.ceil(this.nLists / LANES) * LANES * 4,
    ];
    this.packed = core.alloc(this.#sizes[0]);
    this.halfNorms = core.alloc(this.#sizes[1]);
    core.withScratch((s) => core.check(core.exports.sv_pack(
      s.put(centroids), this.nLists, dim, this.packed, this.halfNorms,
    ), 'centroids'));
  }

  /** The routed dimension, that of the centroids. */
  get dimension(): number {
    return routeDimension(this.config.metric, this.config.dimension);
  }

  /** Bytes of wasm memory held. */
  get bytes(): number {
    return this.#sizes[0] + this.#sizes[1] + (this.#sieve?.size ?? 0);
  }

  /** The centroids one after another, out of the packed matrix. */
  #unpack(): Float32Array {
    const { dimension, nLists } = this;
    const packed = this.core.floats(this.packed, this.#sizes[0] / 4);
    const rows = new Float32Array(nLists * dimension);
    for (let j = 0; j < nLists; j++) {
      const first = (j - j % LANES) * dimension + j % LANES;
      for (let t = 0; t < dimension; t++) rows[j * dimension + t] = packed[first + t * LANES] ?? 0;
    }
    return rows;
  }

  /** The sieve that assigns; queries do without. */
  #packSieve(): number {
    const { core, dimension, nLists } = this;
    if (!this.#sieve) {
      const size = core.exports.sv_sieve_size(nLists, dimension);
      this.#sieve = { pointer: core.alloc(size), size };
      const { pointer } = this.#sieve;
      core.withScratch((s) => core.check(core.exports.sv_sieve_pack(
        s.put(this.#unpack()), 0, nLists, dimension, pointer,
      ), 'centroids'));
    }
    return this.#sieve.pointer;
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
    const metric = coreMetric(this.config.metric);
    const sieve = this.#packSieve();
    core.withScratch((s) => {
      const scratch = s.take(core.exports.sv_sieve_scratch_size(this.nLists, this.dimension));
      const most = Math.max(LEAST_ROWS, Math.floor(ROUTE_BYTES / (this.dimension * 4)));
      const step = Math.min(n, most);
      const place = isRouted(this.config.metric) ? 0 : s.take(step * this.dimension * 4);
      for (let at = 0; at < n; at += step) {
        const count = Math.min(step, n - at);
        const row = rows + at * this.config.dimension * 4;
        const routed = place || row;
        if (place) {
          core.check(core.exports.sv_route_rows(
            metric, row, count, this.config.dimension, this.maxNorm, routed,
          ), 'vectors');
        }
        core.check(core.exports.sv_assign(
          routed, count, this.dimension, sieve, this.nLists, scratch,
          lists + at * 4, distances + at * 4,
        ), 'vectors');
        visit?.(routed, at, count);
      }
    });
  }

  /**
   * The stop ratio that finds this share of the topK nearest: as measured for 10 and for 100,
   * between them on a logarithmic scale, beyond 100 growing as topK^(1/4); infinite for all.
   */
  stopRatio(targetRecall: number, topK: number): number {
    const { recall, at10, at100 } = this.curve;
    if (targetRecall >= 1) return Infinity;
    const ten = interpolate(recall, at10, targetRecall);
    const hundred = interpolate(recall, at100, targetRecall);
    if (topK <= 10 || ten === Infinity || hundred === Infinity) return topK <= 10 ? ten : hundred;
    if (topK >= 100) return hundred * (topK / 100) ** 0.25;
    return ten + (hundred - ten) * Math.log10(topK / 10);
  }

  use(): void {
    this.#uses++;
  }

  /** Gives up one use; the last one frees. */
  free(): void {
    if (--this.#uses > 0) return;
    this.core.release(this.packed, this.#sizes[0]);
    this.core.release(this.halfNorms, this.#sizes[1]);
    if (this.#sieve) this.core.release(this.#sieve.pointer, this.#sieve.size);
  }

  /** Reads and packs the centroids that a manifest names. */
  static async open(
    context: ObjectContext, entry: ClusteringEntry, config: IndexConfig, name: string,
  ): Promise<Clustering> {
    const { core } = context;
    const reader = new ObjectReader(context, entry.object);
    const [length = 0, paramsLength = 0] = entry.object.lengths;
    if (length !== entry.nLists * routeDimension(config.metric, config.dimension) * 4) {
      throw new SealvecError('CORRUPTED', 'the centroids are not as many as the lists');
    }
    const params = new DataView((await reader.read(1, 0, paramsLength)).buffer);
    const points = paramsLength < 8 ? 0 : params.getUint32(4, true);
    if (points < 1 || points > MAX_POINTS || paramsLength !== 8 + points * 12) {
      throw new SealvecError('CORRUPTED', 'the recall curve has no valid length');
    }
    const column = (offset: number): number[] =>
      Array.from({ length: points }, (_, i) => params.getFloat32(8 + i * 12 + offset, true));
    const centroids = await reader.open(0, 0, length, (plain) => core.floats(plain, length / 4));
    const curve = { recall: column(0), at10: column(4), at100: column(8) };
    return new Clustering(core, config, centroids, params.getFloat32(0, true), curve, name);
  }
}

/** Seals centroids and curve into an object. */
export function sealCentroids(
  context: ObjectContext, centroids: Float32Array, maxNorm: number, curve: RecallCurve,
): SealedObject {
  const params = new DataView(new ArrayBuffer(8 + curve.recall.length * 12));
  params.setFloat32(0, maxNorm, true);
  params.setUint32(4, curve.recall.length, true);
  curve.recall.forEach((recall, i) => {
    params.setFloat32(8 + i * 12, recall, true);
    params.setFloat32(12 + i * 12, curve.at10[i] ?? Infinity, true);
    params.setFloat32(16 + i * 12, curve.at100[i] ?? Infinity, true);
  });
  const bytes = new Uint8Array(params.buffer);
  return context.core.withScratch((s) => sealObject(context, 'centroids', [
    { pointer: s.put(centroids), length: centroids.byteLength },
    { pointer: s.put(bytes), length: bytes.length },
  ]));
}
