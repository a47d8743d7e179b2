// What the library hands to its core and draws from the platform, seen from outside.

/** Calls `see(exports)` for each core that is made until `restore`; it may put others in place. */
export function watchCores(see) {
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...args) => {
    const instance = await instantiate(...args);
    const exports = { ...instance.exports };
    see(exports);
    return { exports };
  };
  return () => { WebAssembly.instantiate = instantiate; };
}

/** Tells of every nonce under which anything is sealed until `restore`. */
export function watchNonces(tell) {
  return watchCores((exports) => {
    const { sv_seal: seal, sv_seal_chunks: sealChunks, memory } = exports;
    const told = (pointer, n) => tell(new Uint8Array(memory.buffer, pointer, 24 * n));
    exports.sv_seal = (key, nonce, ...rest) => {
      told(nonce, 1);
      return seal(key, nonce, ...rest);
    };
    exports.sv_seal_chunks = (...args) => {
      told(args[8], args[7]);
      return sealChunks(...args);
    };
  });
}

/** Puts another generator in place of the platform's; `fill` is given each array. */
export function replaceRandom(fill) {
  const { getRandomValues } = crypto;
  crypto.getRandomValues = (array) => {
    fill(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), (bytes) =>
      getRandomValues.call(crypto, bytes));
    return array;
  };
  return () => { crypto.getRandomValues = getRandomValues; };
}

/** A set of nonces that takes 28 bytes each, for many millions. */
export class NonceSet {
  size = 0;
  repeated = 0;
  #bytes;
  #slots;

  constructor(most) {
    this.#bytes = new Uint8Array(24 * most);
    this.#slots = new Uint32Array(2 ** Math.ceil(Math.log2(2 * most)));
  }

  /** Adds nonces that lie one after another. */
  add(nonces) {
    for (let at = 0; at < nonces.length; at += 24) this.#addOne(nonces, at);
  }

  #addOne(nonces, at) {
    const mask = this.#slots.length - 1;
    const [a, b, c, d] = [0, 1, 2, 3].map((i) => nonces[at + i]);
    let slot = (a | b << 8 | c << 16 | d << 24) & mask;
    for (; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const known = 24 * (this.#slots[slot] - 1);
      let i = 0;
      while (i < 24 && this.#bytes[known + i] === nonces[at + i]) i++;
      if (i === 24) {
        this.repeated++;
        return;
      }
    }
    this.#bytes.set(nonces.subarray(at, at + 24), 24 * this.size);
    this.#slots[slot] = ++this.size;
  }
}
