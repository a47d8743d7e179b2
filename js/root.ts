/**
 * What only the index key opens: the seeds, all data keys, and the wrap of every user, by which
 * their slots can be sealed anew without their keys. Behind the common part (slots.ts) the root
 * slot holds
 *
 *   admin seed 32 | rekeying u32 | users u32 | (user id 16 | permissions u32 | wrap 32) per user
 *
 * 1. A new epoch is a new data key together with a new writer key: whoever had the old ones can
 *    neither read what is written from then on, nor sign it.
 * 2. Every change of a table seals every slot anew.
 */
import { randomBytes, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import { exposed, publicKey, SALT, seal, Secret, sign } from './crypto.js';
import { type ByteReader, ByteWriter } from './records.js';
import {
  EPOCH, type IndexIdentity, openTable, READ, RIGHTS, slotKey, tableHeader, takeSecret,
  wipeTable, type Wrap, WRITE,
} from './slots.js';

const USER = 52;

export interface User {
  readonly id: Uint8Array;
  readonly permissions: number;
  readonly wrap: Secret;
}

/** Fresh secrets, each of 32 bytes, drawn at once. */
function freshSecrets(core: Core, count: number): Secret[] {
  const bytes = randomBytes(count * 32);
  try {
    return Array.from({ length: count }, (_, i) =>
      new Secret(core, bytes.subarray(i * 32, (i + 1) * 32)));
  } finally {
    bytes.fill(0);
  }
}

function compareBytes(x: Uint8Array, y: Uint8Array): number {
  const at = x.findIndex((byte, i) => byte !== y[i]);
  return at < 0 ? 0 : (x[at] ?? 0) - (y[at] ?? 0);
}

export class Root {
  readonly core: Core;
  readonly users: User[] = [];
  readonly data = new Map<number, Secret>();
  /** The epoch that a rekey under way moves everything into; 0 without one. */
  rekeying = 0;
  #admin: Secret;
  #writer: Secret;

  private constructor(core: Core, admin: Secret, writer: Secret) {
    this.core = core;
    this.#admin = admin;
    this.#writer = writer;
  }

  /** The root of a new index: epoch 1, no users. */
  static fresh(core: Core): Root {
    const [admin, writer, data] = freshSecrets(core, 3) as [Secret, Secret, Secret];
    const root = new Root(core, admin, writer);
    root.data.set(1, data);
    return root;
  }

  /** Opens the root slot of a table. */
  static open(
    core: Core, index: IndexIdentity, number: number, table: Uint8Array, wrap: Wrap,
  ): Root {
    let admin: Secret | undefined;
    let rekeying = 0;
    const users: User[] = [];
    const opened = openTable(core, index, number, table, wrap, (reader) => {
      admin = takeSecret(core, reader);
      rekeying = reader.u32();
      users.push(...readUsers(core, reader));
    });
    const { writerSeed, data } = opened;
    if (!admin || !writerSeed) {
      wipeTable(opened);
      throw new TypeError('a root slot always holds both seeds');
    }
    const root = new Root(core, admin, writerSeed);
    root.rekeying = rekeying;
    root.users.push(...users);
    for (const [epoch, secret] of data) root.data.set(epoch, secret);
    return root;
  }

  get epoch(): number {
    return Math.max(...this.data.keys());
  }

  /** Adds a user, with a copy of the wrap. */
  addUser(id: Uint8Array, permissions: number, wrap: Secret): void {
    const bytes = exposed(wrap);
    this.users.push({ id, permissions, wrap: new Secret(this.core, bytes) });
    bytes.fill(0);
  }

  /** Whether there was such a user. */
  removeUser(userId: Uint8Array): boolean {
    const at = this.users.findIndex(({ id }) => sameBytes(id, userId));
    for (const { wrap } of at < 0 ? [] : this.users.splice(at, 1)) wrap.wipe();
    return at >= 0;
  }

  /** Begins an epoch: a new data key and a new writer key. */
  beginEpoch(): void {
    const [writer, data] = freshSecrets(this.core, 2) as [Secret, Secret];
    this.#writer.wipe();
    this.#writer = writer;
    this.data.set(this.epoch + 1, data);
  }

  /** Replaces the key that signs tables. */
  replaceAdmin(): void {
    const [admin] = freshSecrets(this.core, 1) as [Secret];
    this.#admin.wipe();
    this.#admin = admin;
  }

  /** Forgets all epochs but the newest. */
  dropOldEpochs(): void {
    const { epoch } = this;
    for (const [old, secret] of [...this.data].filter(([number]) => number !== epoch)) {
      secret.wipe();
      this.data.delete(old);
    }
  }

  /** The table of this root and its users, sealed and signed. */
  seal(index: IndexIdentity, number: number, wrap: Wrap): Uint8Array {
    const header = tableHeader(this.core, index, number, this.users.length);
    const slot = (own: Wrap, permissions: number, more: number): Uint8Array => {
      const plain = this.#plain(permissions, more);
      try {
        return sealSlot(own, index, number, header, plain);
      } finally {
        plain.fill(0);
      }
    };
    const root = slot(wrap, READ | WRITE, 40 + this.users.length * USER);
    const users = this.users.map((user) =>
      slot({ secret: user.wrap, kind: 'user' }, user.permissions, 0));
    // In the order of commitments, which are as good as random.
    users.sort((x, y) => compareBytes(x.subarray(SALT), y.subarray(SALT)));
    const out = new ByteWriter().bytes(header).u32(root.length).u32(users[0]?.length ?? 0)
      .bytes(root);
    for (const sealed of users) out.bytes(sealed);
    const body = out.done();
    return out.bytes(sign(this.#admin, body)).done();
  }

  /** What a slot holds, with room for `more` bytes, which only the root's has. */
  #plain(permissions: number, more: number): Uint8Array {
    const plain = new Uint8Array(RIGHTS + this.data.size * EPOCH + more);
    const view = new DataView(plain.buffer);
    let at = 0;
    const word = (value: number): void => {
      view.setUint32(at, value, true);
      at += 4;
    };
    const bytes = (value: Uint8Array): void => {
      plain.set(value, at);
      at += value.length;
    };
    const secret = (value: Secret): void => {
      const copy = exposed(value);
      bytes(copy);
      copy.fill(0);
    };
    bytes(publicKey(this.#admin));
    bytes(publicKey(this.#writer));
    word(permissions);
    if (permissions & WRITE) secret(this.#writer);
    else at += 32;
    word(this.data.size);
    for (const [epoch, key] of this.data) {
      word(epoch);
      secret(key);
    }
    if (more === 0) return plain;
    secret(this.#admin);
    word(this.rekeying);
    word(this.users.length);
    for (const user of this.users) {
      bytes(user.id);
      word(user.permissions);
      secret(user.wrap);
    }
    return plain;
  }

  wipe(): void {
    for (const { wrap } of this.users) wrap.wipe();
    for (const secret of this.data.values()) secret.wipe();
    this.#admin.wipe();
    this.#writer.wipe();
  }
}

function readUsers(core: Core, reader: ByteReader): User[] {
  return Array.from({ length: reader.count(USER) }, () => ({
    id: reader.bytes(16), permissions: reader.u32(), wrap: takeSecret(core, reader),
  }));
}

function sealSlot(
  wrap: Wrap, index: IndexIdentity, number: number, header: Uint8Array, plain: Uint8Array,
): Uint8Array {
  const salt = randomBytes(SALT);
  const { secret, commitment } = slotKey(wrap, index, number, salt);
  try {
    const sealed = seal(secret, header, plain);
    return new ByteWriter().bytes(salt).bytes(commitment).bytes(sealed).done();
  } finally {
    secret.wipe();
  }
}
