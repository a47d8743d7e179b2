/** Values kept in a cache (cache.ts), each with its place among those used before and after it. */

/** One of those in a ring, which has a place as long as it is in one. */
export class Link {
  before: Link = this;
  after: Link = this;

  unlink(): void {
    this.before.after = this.after;
    this.after.before = this.before;
    this.before = this.after = this;
  }

  /** Goes from where it is to the place before another. */
  linkBefore(other: Link): void {
    this.unlink();
    this.before = other.before;
    this.after = other;
    this.before.after = other.before = this;
  }
}

/** A value that is kept; `drop` wipes and frees it. */
export class Entry<T> extends Link {
  readonly value: T;
  readonly bytes: number;
  readonly drop: () => void;
  key = '';
  /** Those it is among, the least recently used first. */
  queue: Link | undefined;

  constructor(value: T, bytes: number, drop: () => void = () => undefined) {
    super();
    this.value = value;
    this.bytes = bytes;
    this.drop = drop;
  }
}
