/** Decrypted bytes kept in memory up to a limit, least recently used first out. */

interface Entry {
  readonly value: unknown;
  readonly bytes: number;
  /** Wipes and frees. */
  readonly drop: () => void;
}

/** One who waits for a value: `take` uses it before it can be evicted. */
interface Waiting {
  readonly take: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Cache {
  readonly limit: number;
  readonly #entries = new Map<string, Entry>();
  readonly #loading = new Map<string, Waiting[]>();
  #used = 0;
  #holds = 0;
  #due = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used;
  }

  /** Whether anything can ever be evicted. */
  get limited(): boolean {
    return Number.isFinite(this.limit);
  }

  get<T>(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (entry && this.limited) {
      this.#entries.delete(key);
      this.#entries.set(key, entry);
    }
    return entry?.value as T | undefined;
  }

  add(key: string, entry: Entry): void {
    this.drop(key);
    this.#entries.set(key, entry);
    this.#used += entry.bytes;
    if (this.#used > this.limit) this.#evictSoon();
  }

  #evictSoon(): void {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      if (this.#holds === 0) this.#evict();
    }, 0);
  }

  /**
   * What `use` makes of the cached value, or of that of `load`, which runs once however many ask
   * meanwhile. The value may be evicted, and wiped, as soon as `use` returns.
   */
  async load<T, R>(
    key: string, load: () => Promise<Entry & { value: T }>, use: (value: T) => R,
  ): Promise<R> {
    const known = this.get<T>(key);
    if (known !== undefined) return use(known);
    return new Promise<R>((resolve, reject) => {
      const take = (value: unknown): void => {
        try {
          resolve(use(value as T));
        } catch (error) {
          reject(error);
        }
      };
      const waiting = this.#loading.get(key);
      if (waiting) waiting.push({ take, reject });
      else this.#load(key, load, [{ take, reject }]);
    });
  }

  #load(key: string, load: () => Promise<Entry>, waiting: Waiting[]): void {
    this.#loading.set(key, waiting);
    load().then((entry) => {
      this.#loading.delete(key);
      this.add(key, entry);
      for (const { take } of waiting) take(entry.value);
    }, (error: unknown) => {
      this.#loading.delete(key);
      for (const { reject } of waiting) reject(error);
    });
  }

  /** Runs fn while nothing is evicted; one caller at a time when there is a limit. */
  async hold<T>(fn: () => Promise<T>): Promise<T> {
    if (!this.limited) return fn();
    const before = this.#turn;
    let done = (): void => undefined;
    this.#turn = new Promise((resolve) => { done = resolve; });
    await before;
    this.#holds++;
    try {
      return await fn();
    } finally {
      this.#holds--;
      this.#evict();
      done();
    }
  }

  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#used -= entry.bytes;
    entry.drop();
  }

  /** Drops every entry whose key begins with prefix. */
  dropAll(prefix = ''): void {
    for (const key of [...this.#entries.keys()]) if (key.startsWith(prefix)) this.drop(key);
  }

  #evict(): void {
    for (const key of this.#entries.keys()) {
      if (this.#used <= this.limit) return;
      this.drop(key);
    }
  }
}
