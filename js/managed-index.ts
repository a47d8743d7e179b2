/** The calls of an index that change who may open it. */
import type { Access } from './access.js';
import { managing } from './parts.js';
import type { IndexStore } from './store.js';
import type { Upkeep } from './upkeep.js';
import {
  invalid, KEY, readCallKey, readChoices, readKey, readOptions, readWatch, WATCH,
} from './validate.js';
import type {
  CreateUserKeysOptions, DeleteUserKeysOptions, DeleteUserKeysResult, IndexKeyOptions, KeyOptions,
  KeysChanged, RekeyOptions, RotateIndexKeyOptions, UserInfo, UserPermission,
} from '../types/api.js';

const PERMISSIONS: readonly UserPermission[] = ['read', 'write'];

function readPermissions(value: unknown): Set<UserPermission> {
  const permissions = readChoices('permissions', value, PERMISSIONS);
  if (!permissions.has('read')) invalid('permissions', "['read'] or ['read', 'write']", value);
  return permissions;
}

/** The part of an `EncryptedIndex` that its owner uses, with the index key. */
export class ManagedIndex {
  readonly #access: Access;
  readonly #upkeep: Upkeep;

  /** @internal */
  constructor(access: Access, upkeep: Upkeep) {
    this.#access = access;
    this.#upkeep = upkeep;
  }

  /**
   * Lets a user open the index with a key of their own: to query, get, list and count; with
   * `'write'` also to upsert, delete, train and compact. Whoever else can read the storage learns
   * that there is one more, not who or what they may do.
   *
   * @throws `ALREADY_EXISTS` when the user has keys; `PERMISSION_DENIED` but for the index key.
   * @example
   * const userId = crypto.getRandomValues(new Uint8Array(16));
   * const userKey = generateKey();
   * await index.createUserKeys({ userId, userKey, permissions: ['read'] });
   * const theirs = await client.loadIndex({ indexName: 'notes', userId, indexKey: userKey });
   */
  async createUserKeys(options: CreateUserKeysOptions): Promise<KeysChanged> {
    this.#access.check();
    const names = ['userId', 'userKey', 'permissions', 'indexKey'] as const;
    const given = readOptions('createUserKeys', options, names);
    const permissions = readPermissions(given.permissions);
    const userId = readKey('userId', given.userId, 16);
    const userKey = readKey('userKey', given.userKey, 32);
    return this.#change(given, userKey, async (store) =>
      (await managing()).createUser(store, { userId, userKey, permissions }));
  }

  /**
   * Takes a user's keys away: what is written from then on they can neither read nor sign, though
   * they keep the storage. What they could read before, they may have kept; `rekey()` ends that
   * their old keys open what is still stored. Unknown users are ignored.
   *
   * @throws `PERMISSION_DENIED` but for the index key; `TRAINING_IN_PROGRESS`.
   * @example
   * const { count } = await index.deleteUserKeys({ userId: new Uint8Array(16) });
   */
  async deleteUserKeys(options: DeleteUserKeysOptions): Promise<DeleteUserKeysResult> {
    this.#access.check();
    const given = readOptions('deleteUserKeys', options, ['userId', 'indexKey']);
    const userId = readKey('userId', given.userId, 16);
    return this.#change(given, undefined, async (store) => {
      this.#upkeep.refuseTraining();
      return (await managing()).deleteUser(store, userId);
    });
  }

  /**
   * The users that have keys of this index, and what they may do.
   *
   * @throws `PERMISSION_DENIED` but for the index key.
   * @example
   * for (const { userId, permissions } of await index.listUserKeys()) {
   *   console.log(userId, permissions.join());
   * }
   */
  async listUserKeys(options: IndexKeyOptions = {}): Promise<UserInfo[]> {
    this.#access.check();
    const key = readCallKey(readOptions('listUserKeys', options, ['indexKey']));
    return this.#access.read(key, undefined, async ({ store }) =>
      (await managing()).listUsers(store));
  }

  /**
   * Puts a new index key in force, whatever the size of the index. The old one opens nothing that
   * is written from then on; users keep their keys. If the old key may be known to somebody, they
   * may have the users' wraps: give users new keys, and `rekey()`.
   *
   * @throws `PERMISSION_DENIED` but for the index key; `TRAINING_IN_PROGRESS`.
   * @example
   * const newIndexKey = generateKey();
   * await index.rotateIndexKey({ newIndexKey });
   */
  async rotateIndexKey(options: RotateIndexKeyOptions): Promise<KeysChanged> {
    this.#access.check();
    const given = readOptions('rotateIndexKey', options, ['newIndexKey', 'indexKey']);
    const newKey = readKey('newIndexKey', given.newIndexKey, 32);
    return this.#change(given, newKey, async (store) => {
      this.#upkeep.refuseTraining();
      return (await managing()).rotateIndexKey(store, newKey);
    });
  }

  /**
   * Encrypts everything anew under a new data key, while others read and write. When it was ended
   * early, by `signal` or a crash, the index is whole and the next call goes on from there.
   *
   * @throws `PERMISSION_DENIED` but for the index key; `TRAINING_IN_PROGRESS`.
   * @example
   * await index.rekey({ onProgress: (p) => console.log(p.fraction) });
   */
  async rekey(options: RekeyOptions = {}): Promise<KeysChanged> {
    this.#access.check();
    const given = readOptions('rekey', options, ['indexKey', ...WATCH]);
    const watch = readWatch(given);
    const key = readCallKey({ indexKey: given.indexKey });
    return this.#access.read(key, watch.signal, async (index) => {
      index.store.wraps.requireRoot();
      this.#upkeep.refuseTraining();
      const { rekeyIndex } = await managing();
      return rekeyIndex(index, watch, (work) => this.#access.queue(work));
    });
  }

  /**
   * The last commit as a short text, to be kept where whoever has the storage cannot change it.
   * Given to `loadIndex`, it detects a storage that was put back to an earlier state, or went on
   * from one (up to 64 commits later; take a new one now and then). It is no secret.
   *
   * @example
   * const anchor = await index.anchor();
   * await client.loadIndex({ indexName: 'notes', indexKey, anchor });
   */
  async anchor(options: KeyOptions = {}): Promise<string> {
    this.#access.check();
    const key = readCallKey(readOptions('anchor', options, KEY));
    return this.#access.read(key, undefined, async ({ store }) => {
      await store.refresh();
      return (await managing()).writeAnchor({ indexId: store.indexId, ...store.point });
    });
  }

  /** Changes keys under the index key, and wipes the copy of the new one. */
  async #change<T>(
    { indexKey }: { indexKey?: unknown }, fresh: Uint8Array | undefined,
    work: (store: IndexStore) => Promise<T>,
  ): Promise<T> {
    try {
      const key = readCallKey({ indexKey });
      return await this.#access.write(key, undefined, ({ store }) => work(store), true);
    } finally {
      fresh?.fill(0);
    }
  }
}
