/**
 * Changes of who may open an index: each writes another table of slots, and commits a manifest that
 * names it.
 *
 * 1. That commit is the moment from which the change holds; it goes through the same gate as every
 *    write. A table that no commit names is of no consequence, and swept by the next change.
 * 2. The commit is signed and sealed under the new table, so a writer that was removed cannot make
 *    it up, and whoever has the index open learns from it that there are other slots.
 * 3. Of two changes at once the later one begins again from the slots of the earlier.
 */
import { sameBytes } from './bytes.js';
import { SealvecError } from './errors.js';
import { Keyring } from './keyring.js';
import type { Manifest } from './manifest.js';
import { MAX_ATTEMPTS } from './newest.js';
import { isGone } from './object.js';
import { Root } from './root.js';
import {
  deriveWrap, MAX_USERS, openTable, READ, slotsKey, slotsPrefix, type Wrap, WRITE,
} from './slots.js';
import type { IndexStore } from './store.js';
import { sweepSlots } from './sweep.js';
import type { DeleteUserKeysResult, KeysChanged, UserInfo, UserPermission } from '../types/api.js';

const MAX_SLOTS = 99_999_999;

interface OpenRoot {
  readonly root: Root;
  /** The one of the store's wraps that opened it. */
  readonly wrap: Wrap;
}

/** Opens the root slot of the table that a commit names. */
async function openRoot(store: IndexStore, { slots }: Manifest): Promise<OpenRoot> {
  const { core, storage, indexId } = store;
  store.wraps.requireRoot();
  const table = await storage.read(slotsKey(indexId, slots.number));
  if (!table) throw new SealvecError('NOT_FOUND', `key slots ${slots.number} are gone`);
  let wrong: unknown;
  for (const wrap of store.wraps.all) {
    try {
      return { root: Root.open(core, store, slots.number, table, wrap), wrap };
    } catch (error) {
      if (!(error instanceof SealvecError) || error.code !== 'WRONG_KEY') throw error;
      wrong = error;
    }
  }
  throw wrong;
}

/** Writes a table under the next free number. */
async function writeTable(store: IndexStore, root: Root, wrap: Wrap): Promise<Keyring> {
  const { core, storage, indexId } = store;
  const prefix = slotsPrefix(indexId);
  const numbers = (await storage.list(prefix)).map((key) => Number(key.slice(prefix.length)));
  const known = [store.manifest.slots.number, ...numbers.filter((n) => n <= MAX_SLOTS)];
  for (let number = Math.max(...known) + 1; number <= MAX_SLOTS; number++) {
    const table = root.seal(store, number, wrap);
    if (!(await storage.create(slotsKey(indexId, number), table))) continue;
    return new Keyring(core, openTable(core, store, number, table, wrap));
  }
  throw new SealvecError('UNSUPPORTED', 'the keys of this index were changed too often');
}

/**
 * Commits what `change` makes of the root; when that is false, nothing. With `after`, the table is
 * sealed under another wrap of the root from then on.
 */
export async function changeSlots(
  store: IndexStore, change: (root: Root, base: Manifest) => unknown, after?: Wrap,
): Promise<Manifest> {
  const draft = store.draft();
  let made: Keyring | undefined;
  const discard = async (): Promise<void> => {
    if (!made) return;
    const { number } = made.table;
    made.wipe();
    made = undefined;
    await store.storage.delete([slotsKey(store.indexId, number)]).catch(() => undefined);
  };
  try {
    const manifest = await store.commit(draft, async (base) => {
      await discard();
      const { root, wrap } = await openRoot(store, base);
      try {
        if (change(root, base) === false) return undefined;
        made = await writeTable(store, root, after ?? wrap);
        return { keyring: made };
      } finally {
        root.wipe();
      }
    });
    if (made) await sweepSlots(store);
    return manifest;
  } catch (error) {
    // A commit may name it unless it is known that none does.
    if (draft.fate === 'unnamed') await discard();
    throw error;
  } finally {
    made?.wipe();
  }
}

const BITS: Readonly<Record<UserPermission, number>> = { read: READ, write: WRITE };

function idText(id: Uint8Array): string {
  return Array.from(id, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export interface NewUser {
  readonly userId: Uint8Array;
  readonly userKey: Uint8Array;
  readonly permissions: ReadonlySet<UserPermission>;
}

/** Gives a user a slot; ALREADY_EXISTS when there is one. */
export async function createUser(
  store: IndexStore, { userId, userKey, permissions }: NewUser,
): Promise<KeysChanged> {
  const { secret } = deriveWrap(store.core, store.indexId, { indexKey: userKey, userId });
  try {
    const { generation } = await changeSlots(store, (root) => {
      if (root.users.some(({ id }) => sameBytes(id, userId))) {
        throw new SealvecError('ALREADY_EXISTS', `user ${idText(userId)} has keys of this index`);
      }
      if (root.users.length >= MAX_USERS) {
        throw new SealvecError('UNSUPPORTED', `an index has at most ${MAX_USERS} users`);
      }
      const bits = [...permissions].reduce((sum, name) => sum | BITS[name], 0);
      root.addUser(userId, bits, secret);
    });
    return { generation };
  } finally {
    secret.wipe();
  }
}

/** Takes a user's slot away and begins an epoch, if there is such a user. */
export async function deleteUser(
  store: IndexStore, userId: Uint8Array,
): Promise<DeleteUserKeysResult> {
  let count = 0;
  const { generation } = await changeSlots(store, (root) => {
    count = root.removeUser(userId) ? 1 : 0;
    if (count === 0) return false;
    root.beginEpoch();
    return true;
  });
  return { count, generation };
}

/** All users and what they may do. */
export async function listUsers(store: IndexStore): Promise<UserInfo[]> {
  store.wraps.requireRoot();
  for (let attempt = 1; ; attempt++) {
    try {
      const { root } = await openRoot(store, await store.refresh());
      const users = root.users.map(({ id, permissions }): UserInfo => ({
        userId: id, permissions: (permissions & WRITE) ? ['read', 'write'] : ['read'],
      }));
      root.wipe();
      return users;
    } catch (error) {
      // Others changed the slots between the two.
      if (!isGone(error) || attempt === MAX_ATTEMPTS) throw error;
    }
  }
}

/**
 * Puts another index key in force. Whoever had the old one had all seeds and data keys: so there
 * are new ones of each, and what is written from now on is out of their reach.
 */
export async function rotateIndexKey(
  store: IndexStore, newKey: Uint8Array,
): Promise<KeysChanged> {
  const { core, indexId } = store;
  store.wraps.requireRoot();
  const wrap = deriveWrap(core, indexId, { indexKey: newKey, userId: undefined });
  // Should the commit fail, it may exist nevertheless: until that is known, both keys are tried.
  store.wraps.offer(wrap);
  const { generation } = await changeSlots(store, (root) => {
    root.replaceAdmin();
    root.beginEpoch();
  }, wrap);
  store.wraps.keep(wrap);
  return { generation };
}
