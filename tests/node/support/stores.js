// Storages for tests: over a Map that the test can look into, and some that misbehave on purpose.

/** A Storage over a Map of keys to bytes; copies in and out. */
export function mapStorage(map = new Map()) {
  return {
    map,
    async read(key, range) {
      const bytes = map.get(key);
      if (!bytes) return undefined;
      if (!range) return bytes.slice();
      return bytes.slice(range.offset, range.offset + range.length);
    },
    async create(key, bytes) {
      if (map.has(key)) return false;
      map.set(key, Uint8Array.from(bytes));
      return true;
    },
    async delete(keys) {
      for (const key of keys) map.delete(key);
    },
    async list(prefix) {
      return [...map.keys()].filter((key) => key.startsWith(prefix));
    },
    async close() {},
  };
}

/** Another storage, to be overridden call by call. */
export class Wrapped {
  constructor(inner) {
    this.inner = inner;
  }

  read(key, range) {
    return this.inner.read(key, range);
  }

  create(key, bytes) {
    return this.inner.create(key, bytes);
  }

  delete(keys) {
    return this.inner.delete(keys);
  }

  list(prefix) {
    return this.inner.list(prefix);
  }

  // What is wrapped belongs to the test.
  async close() {}
}

/** Counts calls by name. */
export class Counting extends Wrapped {
  calls = { read: 0, create: 0, delete: 0, list: 0 };

  get total() {
    return Object.values(this.calls).reduce((sum, count) => sum + count, 0);
  }

  read(key, range) {
    this.calls.read++;
    return super.read(key, range);
  }

  create(key, bytes) {
    this.calls.create++;
    return super.create(key, bytes);
  }

  delete(keys) {
    this.calls.delete++;
    return super.delete(keys);
  }

  list(prefix) {
    this.calls.list++;
    return super.list(prefix);
  }
}

export class Stopped extends Error {}

/**
 * Stops, as a process that is killed does, at the n-th call that changes anything: `before` it,
 * `after` it, or `amid` it, when half of what is deleted is gone, and half of a manifest is there
 * (as on a file system without hard links). From then on every call fails.
 */
export class Stopping extends Wrapped {
  changes = 0;
  stopped = false;

  constructor(inner, at, where) {
    super(inner);
    this.at = at;
    this.where = where;
  }

  #check() {
    if (this.stopped) throw new Stopped('this process is dead');
  }

  async #change(act, half) {
    this.#check();
    if (++this.changes !== this.at) return act();
    this.stopped = true;
    if (this.where === 'after') await act();
    if (this.where === 'amid') await half();
    throw new Stopped('this process dies');
  }

  async read(key, range) {
    this.#check();
    return super.read(key, range);
  }

  async list(prefix) {
    this.#check();
    return super.list(prefix);
  }

  create(key, bytes) {
    const half = async () => {
      if (key.includes('/manifest/')) await super.create(key, bytes.slice(0, bytes.length / 2));
    };
    return this.#change(() => super.create(key, bytes), half);
  }

  delete(keys) {
    const half = () => super.delete(keys.slice(0, keys.length / 2));
    return this.#change(() => super.delete(keys), half);
  }
}

/** Fails once, at the n-th call of any kind, `before` it takes effect or `after`. */
export class Failing extends Wrapped {
  calls = 0;
  failed = false;

  constructor(inner, at, where, code) {
    super(inner);
    this.at = at;
    this.where = where;
    this.code = code;
  }

  async #call(act) {
    if (++this.calls !== this.at) return act();
    this.failed = true;
    if (this.where === 'after') await act();
    throw Object.assign(new Error('input/output error'), { code: this.code });
  }

  read(key, range) {
    return this.#call(() => super.read(key, range));
  }

  create(key, bytes) {
    return this.#call(() => super.create(key, bytes));
  }

  delete(keys) {
    return this.#call(() => super.delete(keys));
  }

  list(prefix) {
    return this.#call(() => super.list(prefix));
  }
}

/** Holds up single calls, as a process that is suspended does. */
export class Gated extends Wrapped {
  #gates = [];

  /** Holds the next call of this name on such a key, `before` it takes effect or `after`. */
  hold(name, pattern, where = 'before') {
    const gate = { name, pattern, where };
    gate.arrived = new Promise((resolve) => { gate.arrive = resolve; });
    gate.opened = new Promise((resolve) => { gate.open = resolve; });
    this.#gates.push(gate);
    return gate;
  }

  async #pass(name, keys, act) {
    const gate = this.#gates.find((one) => one.name === name &&
      keys.some((key) => one.pattern.test(key)));
    if (!gate) return act();
    this.#gates.splice(this.#gates.indexOf(gate), 1);
    const result = gate.where === 'after' ? await act() : undefined;
    gate.arrive();
    await gate.opened;
    return gate.where === 'after' ? result : act();
  }

  read(key, range) {
    return this.#pass('read', [key], () => super.read(key, range));
  }

  create(key, bytes) {
    return this.#pass('create', [key], () => super.create(key, bytes));
  }

  delete(keys) {
    return this.#pass('delete', keys, () => super.delete(keys));
  }

  list(prefix) {
    return this.#pass('list', [prefix], () => super.list(prefix));
  }
}
