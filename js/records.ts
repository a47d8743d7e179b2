/** Little-endian records, bounds-checked. */
import { SealvecError } from './errors.js';

/** Builds a record field by field. */
export class ByteWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  #room(size: number): DataView {
    if (this.#length + size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + size));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    const view = new DataView(this.#bytes.buffer, this.#length, size);
    this.#length += size;
    return view;
  }

  u8(value: number): this {
    this.#room(1).setUint8(0, value);
    return this;
  }

  u16(value: number): this {
    this.#room(2).setUint16(0, value, true);
    return this;
  }

  u32(value: number): this {
    this.#room(4).setUint32(0, value, true);
    return this;
  }

  /** A safe integer as 64 bits. */
  u64(value: number): this {
    this.#room(8).setBigUint64(0, BigInt(value), true);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#length;
    this.#room(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** The record so far. */
  done(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }
}

/** Reads a record field by field; running over its end is CORRUPTED. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #what: string;
  #at = 0;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #view(size: number): DataView {
    if (size > this.left) this.fail('ends too soon');
    const view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, size);
    this.#at += size;
    return view;
  }

  u8(): number {
    return this.#view(1).getUint8(0);
  }

  u16(): number {
    return this.#view(2).getUint16(0, true);
  }

  u32(): number {
    return this.#view(4).getUint32(0, true);
  }

  u64(): number {
    const value = Number(this.#view(8).getBigUint64(0, true));
    if (!Number.isSafeInteger(value)) this.fail('holds a number over 2^53');
    return value;
  }

  bytes(length: number): Uint8Array {
    const view = this.#view(length);
    return new Uint8Array(view.buffer, view.byteOffset, length).slice();
  }

  /** A count of records of at least `size` bytes each, which must fit in what is left. */
  count(size: number): number {
    const count = this.u32();
    if (count * size > this.left) this.fail('counts more than it holds');
    return count;
  }

  /** Everything must have been read. */
  end(): void {
    if (this.left !== 0) this.fail('has bytes after its end');
  }

  fail(why: string): never {
    throw new SealvecError('CORRUPTED', `${this.#what} ${why}`);
  }
}
