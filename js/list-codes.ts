/** The centroids as queries rank them: packed, and where they are many, coded. */
import { readCentroids, type StoredCentroids } from './centroids.js';
import { Clustering, takeOrigin } from './clustering.js';
import type { Core } from './core.js';
import type { Clustering as ClusteringEntry, IndexConfig } from './manifest.js';
import type { ObjectContext } from './object.js';
import type { RecallCurve } from './stop-ratio.js';

/** Lists from which on their codes are looked at first. */
const MANY = 1024;

/** A clustering with the codes of its centroids in wasm memory, or 0 (`list_codes` of c/sv.h). */
export class RankedLists extends Clustering {
  readonly curve: RecallCurve;
  /** Names the object it came from. */
  readonly name: string;
  readonly codes: number;
  #uses = 0;

  /** Reads and packs them. */
  static async open(
    context: ObjectContext, entry: ClusteringEntry, config: IndexConfig, name: string,
  ): Promise<RankedLists> {
    return new RankedLists(context.core, config, await readCentroids(context, entry, config), name);
  }

  private constructor(core: Core, config: IndexConfig, stored: StoredCentroids, name: string) {
    const { centroids, maxNorm, curve } = stored;
    super(core, config, centroids, maxNorm);
    this.curve = curve;
    this.name = name;
    const { sv_codes_encode: encode } = core.exports;
    const { nLists, dimension } = this;
    this.codes = nLists < MANY ? 0 : core.withScratch((s) => {
      const starts = s.put(Uint32Array.of(0, nLists));
      const bytes = encode(0, 0, dimension, starts, 1, 0, 0);
      if (bytes === 0) return 0;
      const head = Math.ceil(dimension / 32) * 128;
      const origin = takeOrigin(s, dimension);
      const codes = this.arena.take(head + bytes);
      const rows = s.put(centroids);
      core.exports.sv_codes_origin(0, rows, nLists, dimension, origin);
      encode(0, rows, dimension, starts, 1, origin, codes + head);
      core.clear(codes, head);
      core.move(codes, origin, dimension * 4);
      return codes;
    });
  }

  use(): this {
    this.#uses++;
    return this;
  }

  /** Gives up one use; the last one frees. */
  override free(): void {
    if (--this.#uses <= 0) super.free();
  }
}
