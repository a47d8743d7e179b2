/** Objects that readers of one store still use, counted. */
import { hex } from './bytes.js';
import { type Manifest, namedObjects } from './manifest.js';

export class Pins {
  readonly #counts = new Map<string, number>();

  has(id: Uint8Array): boolean {
    return this.#counts.has(hex(id));
  }

  /** Counts the objects of a manifest until released. */
  add(manifest: Manifest): () => void {
    const ids = namedObjects(manifest).map((ref) => hex(ref.id));
    for (const id of ids) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      for (const id of ids) {
        const count = (this.#counts.get(id) ?? 1) - 1;
        if (count === 0) this.#counts.delete(id);
        else this.#counts.set(id, count);
      }
    };
  }
}
