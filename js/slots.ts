/**
 * Key slots: who may open an index, and with what rights. A slot table is one write-once object:
 *
 *   magic "SVKEYSLT" | version u16 | suite u16 | 0 u32 | index id 16 | number u32 | users u32 |
 *   first 24 bytes of BLAKE2b-256 of the index's name
 *   root slot length u32 | user slot length u32
 *   root slot, then the users' slots: salt 24 | commitment 32 | nonce 24 | ciphertext | tag 16
 *   Ed25519 signature by the admin key over all that precedes it
 *
 * A slot is sealed under its *wrap*, which is made of the index key or of a user's id and key. It
 * holds
 *   admin public 32 | writer public 32 | permissions u32 | writer seed 32 (0 * 32 for readers) |
 *   epochs u32 | (epoch u32 | data key 32) per epoch
 * and the root slot behind that what root.ts says.
 *
 * 1. Nothing tells whose a slot is, or what it allows: users' slots are of one length, sealed anew
 *    in every table and in the order of their commitments. Finding one's own is to try them all,
 *    and all are tried whichever it is: wrong key, unknown user and deleted user take equal work.
 * 2. A user can make up no slot but their own, and no table at all: the admin key signs it, and
 *    what a slot holds is believed because nobody else has its wrap but the root.
 *
 * History: version 1, 2026.
 */
import { hex, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import {
  COMMITMENT, deriveCommitted, deriveSubkey, findCommitment, hash, open, OVERHEAD, publicKey, SALT,
  Secret, SIGNATURE, verify,
} from './crypto.js';
import { SealvecError } from './errors.js';
import { ByteReader, ByteWriter } from './records.js';
import type { CallKey } from './validate.js';
import { FORMAT_VERSION, SUITE } from './version.js';

const MAGIC = new TextEncoder().encode('SVKEYSLT');
const HEADER = 64;
const LENGTHS = 8;
const LEAST_SLOT = SALT + COMMITMENT + OVERHEAD;
/** Bytes of the common part of a slot besides its epochs, and of each epoch. */
export const RIGHTS = 104;
export const EPOCH = 36;
export const MAX_USERS = 4096;
const MAX_EPOCHS = 65_536;
export const READ = 1;
export const WRITE = 2;

export function slotsPrefix(indexId: Uint8Array): string {
  return `data/${hex(indexId)}/slots/`;
}

export function slotsKey(indexId: Uint8Array, number: number): string {
  return slotsPrefix(indexId) + String(number).padStart(8, '0');
}

/** What opens the slot of one party in every table of an index. */
export interface Wrap {
  readonly secret: Secret;
  readonly kind: 'root' | 'user';
}

/** The wrap of the index key, or of a user's. */
export function deriveWrap(
  core: Core, indexId: Uint8Array, { indexKey, userId }: CallKey,
): Wrap {
  const key = new Secret(core, indexKey);
  try {
    if (!userId) return { secret: deriveSubkey(key, 'root', indexId), kind: 'root' };
    const about = new ByteWriter().bytes(indexId).bytes(userId).done();
    return { secret: deriveSubkey(key, 'user', about), kind: 'user' };
  } finally {
    key.wipe();
  }
}

/** Which index a slot table belongs to. */
export interface IndexIdentity {
  readonly indexId: Uint8Array;
  readonly indexName: string;
}

/** What one slot gave. */
export interface OpenTable {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly writerPublic: Uint8Array;
  readonly writerSeed: Secret | undefined;
  /** Data keys by epoch. */
  readonly data: ReadonlyMap<number, Secret>;
}

/** Wipes the secrets of a table that is no longer in use. */
export function wipeTable({ data, writerSeed }: Pick<OpenTable, 'data' | 'writerSeed'>): void {
  for (const secret of data.values()) secret.wipe();
  writerSeed?.wipe();
}

/** Binds the name too: a header file put in the place of another's leads nowhere. */
export function tableHeader(
  core: Core, { indexId, indexName }: IndexIdentity, number: number, users: number,
): Uint8Array {
  const name = hash(core, new TextEncoder().encode(indexName)).subarray(0, 24);
  return new ByteWriter().bytes(MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(0).bytes(indexId)
    .u32(number).u32(users).bytes(name).done();
}

function slotLabel({ kind }: Wrap): string {
  return `${kind} slot`;
}

function slotContext({ indexId }: IndexIdentity, number: number, salt: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(indexId).u32(number).bytes(salt).done();
}

/** The key of a slot, and the commitment that tells its owner from others. */
export function slotKey(
  wrap: Wrap, index: IndexIdentity, number: number, salt: Uint8Array,
): { secret: Secret; commitment: Uint8Array } {
  return deriveCommitted(wrap.secret, slotLabel(wrap), slotContext(index, number, salt));
}

interface Slots {
  readonly header: Uint8Array;
  readonly root: Uint8Array;
  readonly users: readonly Uint8Array[];
}

/** Cuts a table into its slots; lengths are believed only as far as they add up to its own. */
function cutTable(
  core: Core, index: IndexIdentity, number: number, body: Uint8Array, what: string,
): Slots {
  const reader = new ByteReader(body, what);
  const header = reader.bytes(HEADER);
  const users = new DataView(header.buffer).getUint32(36, true);
  if (!sameBytes(header, tableHeader(core, index, number, users))) {
    reader.fail('are those of another index or name');
  }
  const rootLength = reader.u32();
  const userLength = reader.u32();
  if (users > MAX_USERS || rootLength < LEAST_SLOT || (users > 0 && userLength < LEAST_SLOT) ||
      rootLength + users * userLength !== body.length - HEADER - LENGTHS) {
    reader.fail('have another length than they say');
  }
  return {
    header, root: reader.bytes(rootLength),
    users: Array.from({ length: users }, () => reader.bytes(userLength)),
  };
}

/** Opens the one slot that belongs to a wrap, having tried all of its kind. */
function openSlot(
  index: IndexIdentity, number: number, slots: Slots, wrap: Wrap, what: string,
): Uint8Array {
  const candidates = wrap.kind === 'root' ? [slots.root] : slots.users;
  const own = findCommitment(wrap.secret, slotLabel(wrap), candidates.map((slot) => ({
    data: slotContext(index, number, slot.subarray(0, SALT)),
    commitment: slot.subarray(SALT, SALT + COMMITMENT),
  })));
  const slot = own === undefined ? undefined : candidates[own];
  if (!slot) {
    const whose = wrap.kind === 'root' ? 'the key does' : 'userId and key do';
    throw new SealvecError('WRONG_KEY', `${whose} not open this index`);
  }
  const { secret } = slotKey(wrap, index, number, slot.subarray(0, SALT));
  try {
    return open(secret, slots.header, slot.subarray(SALT + COMMITMENT), what);
  } finally {
    secret.wipe();
  }
}

/** The next 32 bytes as a secret; no copy of them is left behind. */
export function takeSecret(core: Core, reader: ByteReader): Secret {
  const bytes = reader.bytes(32);
  try {
    return new Secret(core, bytes);
  } finally {
    bytes.fill(0);
  }
}

/** Reads the part that all slots have; what is taken so far is wiped when it is not sound. */
function readRights(
  core: Core, reader: ByteReader,
): Omit<OpenTable, 'number' | 'hash'> & { adminPublic: Uint8Array } {
  const adminPublic = reader.bytes(32);
  const writerPublic = reader.bytes(32);
  const permissions = reader.u32();
  const seed = takeSecret(core, reader);
  const data = new Map<number, Secret>();
  try {
    const writes = (permissions & WRITE) !== 0;
    if (writes && !sameBytes(publicKey(seed), writerPublic)) reader.fail('hold another writer key');
    const epochs = reader.count(EPOCH);
    if (epochs < 1 || epochs > MAX_EPOCHS) reader.fail(`hold ${epochs} epochs`);
    for (let i = 0; i < epochs; i++) data.set(reader.u32(), takeSecret(core, reader));
    if (!writes) seed.wipe();
    return { adminPublic, writerPublic, writerSeed: writes ? seed : undefined, data };
  } catch (error) {
    wipeTable({ data, writerSeed: seed });
    throw error;
  }
}

/**
 * Opens the slot of a wrap. `rest` reads what the root slot holds more.
 * WRONG_KEY when no slot has the commitment of that wrap, CORRUPTED for damage.
 */
export function openTable(
  core: Core, index: IndexIdentity, number: number, table: Uint8Array, wrap: Wrap,
  rest?: (reader: ByteReader) => void,
): OpenTable {
  const what = `key slots ${number}`;
  if (table.length < HEADER + LENGTHS + LEAST_SLOT + SIGNATURE) {
    throw new SealvecError('CORRUPTED', `${what} are cut short`);
  }
  const body = table.subarray(0, table.length - SIGNATURE);
  const slots = cutTable(core, index, number, body, what);
  const plain = openSlot(index, number, slots, wrap, what);
  try {
    const reader = new ByteReader(plain, what);
    const { adminPublic, ...rights } = readRights(core, reader);
    try {
      verify(core, adminPublic, body, table.subarray(body.length), what);
      rest?.(reader);
      if (rest || wrap.kind === 'user') reader.end();
      return { number, hash: hash(core, table), ...rights };
    } catch (error) {
      wipeTable(rights);
      throw error;
    }
  } finally {
    plain.fill(0);
  }
}
