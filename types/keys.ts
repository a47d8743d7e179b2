/** The public types of keys and users. No runtime code, no imports. */

/** The key for one call, in place of the key given at load. */
export interface KeyOptions {
  /** 32 bytes: the index key, or with userId that user's key. */
  indexKey?: Uint8Array;
  /** 16 bytes naming a user of the index. */
  userId?: Uint8Array;
}

/** The index key for one call, in place of the key given at load. */
export interface IndexKeyOptions {
  indexKey?: Uint8Array;
}

/** What a user may do: query, get, list, count; or also upsert, delete, train, compact. */
export type UserPermission = 'read' | 'write';

export interface CreateUserKeysOptions extends IndexKeyOptions {
  /** 16 bytes naming the new user. */
  userId: Uint8Array;
  /** 32 bytes: the user's own key, which takes the place of the index key. */
  userKey: Uint8Array;
  /** `['read']` or `['read', 'write']`. */
  permissions: readonly UserPermission[];
}

export interface DeleteUserKeysOptions extends IndexKeyOptions {
  userId: Uint8Array;
}

export interface DeleteUserKeysResult {
  /** 1, or 0 when there was no such user. */
  count: number;
  generation: number;
}

export interface UserInfo {
  userId: Uint8Array;
  permissions: UserPermission[];
}

export interface RotateIndexKeyOptions extends IndexKeyOptions {
  /** 32 bytes: what opens the index from then on. */
  newIndexKey: Uint8Array;
}

/** Which commit a change of keys is. */
export interface KeysChanged {
  generation: number;
}
