// Little-endian fields, one after another.
import { demand, same } from './primitives.js';

export class Fields {
  #bytes;
  #view;
  #what;
  at = 0;

  constructor(bytes, what) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#what = what;
  }

  #take(size) {
    demand(this.at + size <= this.#bytes.length, `${this.#what} ends too soon`);
    this.at += size;
    return this.at - size;
  }

  i8() { return this.#view.getInt8(this.#take(1)); }
  u8() { return this.#view.getUint8(this.#take(1)); }
  i16() { return this.#view.getInt16(this.#take(2), true); }
  u16() { return this.#view.getUint16(this.#take(2), true); }
  u32() { return this.#view.getUint32(this.#take(4), true); }
  u64() { return Number(this.#view.getBigUint64(this.#take(8), true)); }
  f32() { return this.#view.getFloat32(this.#take(4), true); }

  bytes(size) {
    const from = this.#take(size);
    return this.#bytes.slice(from, from + size);
  }

  rest() { return this.bytes(this.#bytes.length - this.at); }

  /** n records, each read by `read`. */
  many(n, read) { return Array.from({ length: n }, (_, i) => read(i)); }

  /** A magic of 8 letters, then version 1 and suite 1. */
  head(magic) {
    demand(same(this.bytes(8), Buffer.from(magic)), `${this.#what} is no ${magic}`);
    demand(this.u16() === 1 && this.u16() === 1, `${this.#what} has another format`);
  }

  zeros(size) {
    demand(this.bytes(size).every((byte) => byte === 0), `${this.#what}: a reserved byte is set`);
  }

  end() { demand(this.at === this.#bytes.length, `${this.#what} has bytes behind its end`); }
}
