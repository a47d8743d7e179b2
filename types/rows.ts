/** Which rows of segments something is done to. No runtime code. */
import type { SegmentEntry } from './format.js';

/** A segment whose rows training takes. Row r of it has the number base + r. */
export interface Source {
  readonly entry: SegmentEntry;
  /** A multiple of 8. */
  readonly base: number;
}

/** Rows [from, to) of a segment, dead ones among them. */
export interface Span extends Source {
  readonly from: number;
  readonly to: number;
}

/** Rows of a segment, ascending. */
export interface Picks {
  readonly entry: SegmentEntry;
  readonly rows: Uint32Array;
}

/** Living rows of one segment, ascending, within [from, to). */
export interface Piece extends Picks {
  readonly from: number;
  readonly to: number;
}
