/** Decrypted bytes kept in memory up to a limit, least recently used first out. */

interface Entry {
  readonly value: unknown;
  readonly bytes: number;
  /** Wipes and frees. */
  readonly drop: () => void;
}

export class Cache {
  readonly limit: number;
  readonly #entries = new Map<string, Entry>();
  readonly #loading = new Map<string, Promise<unknown>>();
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

  /** Evicts once those who wait for a value have had it: they use or copy it as soon as they run. */
  #evictSoon(): void {
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      if (this.#holds === 0) this.#evict();
    }, 0);
  }

  /** The cached value, or that of `load`, which runs once however many ask meanwhile. */
  async load<T>(key: string, load: () => Promise<Entry & { value: T }>): Promise<T> {
    const known = this.get<T>(key);
    if (known !== undefined) return known;
    const under = this.#loading.get(key) as Promise<T> | undefined;
    if (under) return under;
    const loading = load().then((entry) => {
      this.add(key, entry);
      return entry.value;
    }).finally(() => this.#loading.delete(key));
    this.#loading.set(key, loading);
    return loading;
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
