/** The centroids as queries rank them: packed, and where they are many, coded. */
import { readCentroids } from './centroids.js';
import { Clustering } from './clustering.js';
import type { Clustering as ClusteringEntry, IndexConfig } from './manifest.js';
import type { ObjectContext } from './object.js';

/** Lists from which on their codes are looked at first. */
const MANY = 1024;

/** A clustering with the codes of its centroids in wasm memory, or 0 (`list_codes` of c/sv.h). */
export class RankedLists extends Clustering {
  readonly codes: number;

  /** Reads and packs them. */
  static async open(
    context: ObjectContext, entry: ClusteringEntry, config: IndexConfig, name: string,
  ): Promise<RankedLists> {
    const { centroids, maxNorm, curve } = await readCentroids(context, entry, config);
    return new RankedLists(context.core, config, centroids, maxNorm, curve, name);
  }

  constructor(...given: ConstructorParameters<typeof Clustering>) {
    super(...given);
    const [core, , centroids] = given;
    const { sv_codes_encode: encode } = core.exports;
    const { nLists, dimension } = this;
    this.codes = nLists < MANY ? 0 : core.withScratch((s) => {
      const starts = s.put(Uint32Array.of(0, nLists));
      const bytes = encode(0, 0, dimension, starts, 1, 0, 0);
      if (bytes === 0) return 0;
      const head = Math.ceil(dimension / 32) * 128;
      const origin = s.take(head * 3);
      const codes = this.arena.take(head + bytes);
      encode(0, s.put(centroids), dimension, starts, 1, origin, codes + head);
      core.fill(codes, head, 0);
      core.move(codes, origin, dimension * 4);
      return codes;
    });
  }
}
