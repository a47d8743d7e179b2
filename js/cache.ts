/**
 * Decrypted bytes kept in memory up to a limit, least recently used first out. What there is no
 * room for is used and dropped, but for a block of which a search needs one at least. Values may be
 * pointers into wasm memory that are freed when they are evicted, so they are not handed out but
 * used in the turn in which they are found, and nothing made of them may refer to them.
 */
import { Entry, Link } from './cache-entry.js';
import { SealvecError } from './errors.js';

type Load<T> = () => Promise<Entry<T>>;

/**
 * How a value is kept: `must` although there is no room, as those who hold the cache may ask;
 * `briefly` as well, but it goes before all that is not, however lately it was used.
 */
type Keep = 'may' | 'must' | 'briefly';

/** One who waits for a value: `take` uses it before it can be evicted. */
interface Waiting {
  readonly take: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Cache {
  readonly limit: number;
  readonly #entries = new Map<string, Entry<unknown>>();
  readonly #lasting = new Link();
  readonly #brief = new Link();
  readonly #loading = new Map<string, Waiting[]>();
  #used = 0;
  /** Those among them that are kept briefly. */
  #briefly = 0;
  #scopes = 0;
  #holds = 0;
  #closed = false;
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

  /** A part of the cache with keys of its own, to be dropped as a whole. */
  scope(): CacheScope {
    return new CacheScope(this, `${this.#scopes++}/`);
  }

  /** A value that is there, marked as just used. */
  find(key: string): Entry<unknown> | undefined {
    const entry = this.#entries.get(key);
    if (entry) this.touch(entry);
    return entry;
  }

  /** Marks an entry as just used, if it is still kept. */
  touch(entry: Entry<unknown>): void {
    if (entry.queue) entry.linkBefore(entry.queue);
  }

  /**
   * What `use` makes of the cached value, or of that of `load`, which runs once however many ask
   * meanwhile. The value may be evicted, and wiped, as soon as `use` returns.
   */
  async load<T, R>(
    key: string, load: Load<T>, use: (value: T) => R, keep: Keep = 'may',
  ): Promise<R> {
    const known = this.find(key) as Entry<T> | undefined;
    if (known) return use(known.value);
    return new Promise<R>((resolve, reject) => {
      const take = (value: unknown): void => {
        try {
          resolve(use(value as T));
        } catch (error) {
          reject(error as Error);
        }
      };
      const waiting = this.#loading.get(key);
      if (waiting) waiting.push({ take, reject });
      else void this.#load(key, load, [{ take, reject }], keep);
    });
  }

  /**
   * Keeps a value that was loaded otherwise, if there is room or somebody holds the cache; whether
   * it does.
   */
  put(key: string, entry: Entry<unknown>): boolean {
    if (this.#closed || this.find(key)) return false;
    return this.#add(key, entry, this.#holds > 0 ? 'must' : 'may');
  }

  /** Whether there is room for so many bytes as it is. */
  hasRoom(bytes: number): boolean {
    return this.#used + bytes <= this.limit;
  }

  /** Makes room for so many bytes among what is kept briefly, if that is enough; whether it is. */
  makeRoomBriefly(bytes: number): boolean {
    if (bytes <= this.briefRoom && this.#holds === 0) this.#evict(bytes, this.#brief);
    return this.hasRoom(bytes);
  }

  /** Bytes that nothing has but what is kept briefly. */
  get briefRoom(): number {
    return this.limit - this.#used + this.#briefly;
  }

  /** Keeps a value briefly, if there is room; whether it does. */
  putBriefly(key: string, entry: Entry<unknown>): boolean {
    if (this.#closed || this.#entries.has(key) || !this.hasRoom(entry.bytes)) return false;
    this.#link(key, entry, this.#brief);
    return true;
  }

  async #load(
    key: string, load: Load<unknown>, waiting: Waiting[], keep: Keep,
  ): Promise<void> {
    this.#loading.set(key, waiting);
    try {
      const entry = await load();
      this.#loading.delete(key);
      const kept = this.#add(key, entry, keep);
      for (const { take } of waiting) take(entry.value);
      if (!kept) entry.drop();
    } catch (error) {
      this.#loading.delete(key);
      for (const { reject } of waiting) reject(error);
    }
  }

  /** Whether there is room for an entry, or it must be kept. */
  #add(key: string, entry: Entry<unknown>, keep: Keep): boolean {
    if (this.#closed) {
      entry.drop();
      throw new SealvecError('CLOSED', 'the index was closed during this call');
    }
    if (this.#holds === 0) this.makeRoom(entry.bytes);
    if (keep === 'may' && !this.hasRoom(entry.bytes)) return false;
    this.#link(key, entry, keep === 'briefly' ? this.#brief : this.#lasting);
    return true;
  }

  #link(key: string, entry: Entry<unknown>, queue: Link): void {
    entry.key = key;
    entry.queue = queue;
    entry.linkBefore(queue);
    this.#entries.set(key, entry);
    this.#count(entry, entry.bytes);
  }

  /** Lets go of what was used least recently until there is room for so many bytes. */
  makeRoom(bytes: number): void {
    this.#evict(bytes, this.#brief);
    this.#evict(bytes, this.#lasting);
  }

  /** Runs fn while only it evicts; one caller at a time when there is a limit. */
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
      this.makeRoom(0);
      done();
    }
  }

  #count({ queue }: Entry<unknown>, bytes: number): void {
    this.#used += bytes;
    if (queue === this.#brief) this.#briefly += bytes;
  }

  #drop(entry: Entry<unknown>): void {
    this.#entries.delete(entry.key);
    this.#count(entry, -entry.bytes);
    entry.queue = undefined;
    entry.unlink();
    entry.drop();
  }

  /** Drops every entry whose key begins with prefix. */
  dropAll(prefix: string): void {
    for (const entry of [...this.#entries.values()]) {
      if (entry.key.startsWith(prefix)) this.#drop(entry);
    }
  }

  /** Wipes and frees everything, now and whatever is still being loaded. */
  close(): void {
    this.#closed = true;
    this.dropAll('');
  }

  #evict(bytes: number, queue: Link): void {
    while (!this.hasRoom(bytes) && queue.after instanceof Entry) this.#drop(queue.after);
  }
}

/** Values of one owner, which live no longer than it does. */
export class CacheScope {
  readonly #cache: Cache;
  readonly #prefix: string;
  #closed = false;

  constructor(cache: Cache, prefix: string) {
    this.#cache = cache;
    this.#prefix = prefix;
  }

  get limited(): boolean {
    return this.#cache.limited;
  }

  touch(entry: Entry<unknown>): void {
    this.#cache.touch(entry);
  }

  /** As `Cache.put`, but nothing once the owner is gone. */
  put(name: string, entry: Entry<unknown>): boolean {
    return !this.#closed && this.#cache.put(this.#prefix + name, entry);
  }

  hasRoom(bytes: number): boolean {
    return this.#cache.hasRoom(bytes);
  }

  makeRoomBriefly(bytes: number): boolean {
    return this.#cache.makeRoomBriefly(bytes);
  }

  get briefRoom(): number {
    return this.#cache.briefRoom;
  }

  putBriefly(name: string, entry: Entry<unknown>): boolean {
    return !this.#closed && this.#cache.putBriefly(this.#prefix + name, entry);
  }

  /** As `Cache.load`; CLOSED once the owner is gone, and then nothing stays in memory. */
  async load<T, R>(
    name: string, load: Load<T>, use: (value: T) => R, keep: Keep = 'may',
  ): Promise<R> {
    const loadOpen = async (): Promise<Entry<T>> => {
      this.#check();
      const entry = await load();
      if (this.#closed) entry.drop();
      this.#check();
      return entry;
    };
    return this.#cache.load(this.#prefix + name, loadOpen, use, keep);
  }

  #check(): void {
    if (this.#closed) throw new SealvecError('CLOSED', 'the data was let go during this call');
  }

  /** Wipes and frees all values. */
  close(): void {
    this.#closed = true;
    this.#cache.dropAll(this.#prefix);
  }
}
