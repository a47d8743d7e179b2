/**
 * The connection to one IndexedDB database: opened on first use, kept, and replaced when it dies.
 *
 * 1. Browsers drop connections of tabs they suspend and after failures of their own; every call on
 *    the old handle then fails ("The database connection is closing", "Connection to Indexed
 *    Database server lost", "Internal error opening backing store"). Such a call is tried once more
 *    on a new connection.
 * 2. When another tab wants to upgrade or delete the database, the connection gives way. The next
 *    call opens it again.
 * 3. Opening waits, without an event, as long as another tab keeps a deletion waiting. After
 *    OPEN_TIMEOUT the call fails instead of hanging.
 */
import { openDB } from 'idb';
import { SealvecError } from '../errors.js';
import { createStores, type Database, hasStores, type Schema } from './indexeddb-objects.js';

const VERSION = 1;
/** How long (ms) opening may take. */
const OPEN_TIMEOUT = 15_000;
/** What a call on a dead connection throws, by browser and moment. */
const LOST: ReadonlySet<unknown> = new Set(['InvalidStateError', 'UnknownError', 'AbortError']);

export class Connection {
  readonly #name: string;
  readonly #persist: boolean;
  #database: Promise<Database> | undefined;
  #asked = false;

  constructor(name: string, persist: boolean) {
    this.#name = name;
    this.#persist = persist;
  }

  /** Runs a call that may be repeated; `again` tells it that it was. */
  async run<T>(call: (db: Database, again: boolean) => Promise<T>): Promise<T> {
    for (let again = false; ; again = true) {
      const database = this.#open();
      try {
        return await call(await database, again);
      } catch (error) {
        if (again || !LOST.has(nameOf(error))) throw error;
        this.#drop(database);
      }
    }
  }

  async close(): Promise<void> {
    const database = this.#database;
    if (database) this.#drop(database);
    await database?.catch(() => undefined);
  }

  #open(): Promise<Database> {
    if (this.#database) return this.#database;
    const database = this.#connect(() => this.#drop(database));
    this.#database = database;
    database.then(() => this.#askToPersist(), () => this.#drop(database));
    return database;
  }

  /** Forgets a connection; its running transactions still end by themselves. */
  #drop(database: Promise<Database>): void {
    if (this.#database === database) this.#database = undefined;
    database.then((db) => db.close(), () => undefined);
  }

  async #connect(onLost: () => void): Promise<Database> {
    if (!('indexedDB' in globalThis)) {
      throw new SealvecError('UNSUPPORTED', 'storage: there is no IndexedDB here; in Node give a ' +
        'directory or fileStorage, elsewhere memoryStorage or a Storage of your own');
    }
    let late = false;
    let fail = (_why: string): void => undefined;
    const failed = new Promise<never>((_, reject) => {
      fail = (why) => {
        late = true;
        reject(new SealvecError('STORAGE', `database '${this.#name}' cannot be opened: ${why}`));
      };
    });
    const timer = setTimeout(() => fail(`no answer within ${OPEN_TIMEOUT / 1000} s; another tab ` +
      'may be keeping it from being deleted: close the other tabs of this page'), OPEN_TIMEOUT);
    const opening = openDB<Schema>(this.#name, VERSION, {
      upgrade: createStores,
      blocked: () => fail('another tab uses an older version of it: close or reload that tab'),
      blocking: onLost,
      terminated: onLost,
    });
    // It may still open after all, with nobody waiting.
    opening.then((db) => { if (late) db.close(); }, () => undefined);
    try {
      return this.#check(await Promise.race([opening, failed]));
    } catch (error) {
      throw nameOf(error) === 'VersionError' ? this.#foreign(error) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #check(db: Database): Database {
    if (hasStores(db)) return db;
    db.close();
    throw this.#foreign(undefined);
  }

  #foreign(cause: unknown): SealvecError {
    return new SealvecError('UNSUPPORTED', `database '${this.#name}' was made by a newer version ` +
      'of SealVec, or by something else; reload the page, or choose another name', { cause });
  }

  /** Once. The browser may refuse, or ask the user first, and nothing waits for the answer. */
  #askToPersist(): void {
    if (!this.#persist || this.#asked) return;
    this.#asked = true;
    try {
      void navigator.storage.persist().catch(() => undefined);
    } catch {
      // Workers cannot ask, nor can pages without a secure origin.
    }
  }
}

function nameOf(error: unknown): unknown {
  return (error as { name?: unknown } | null)?.name;
}
