/**
 * Key slots and the keyring they open. A slot table is one write-once object:
 *
 *   magic "SVKEYSLT" | version u16 | suite u16 | 0 u32 | index id 16 | number u32 | slots u32 |
 *   first 24 bytes of BLAKE2b-256 of the index's name
 *   per slot: kind u8 | permissions u8 | 0 u16 | sealed length u32 | user id 16 | salt 24 |
 *             commitment 32 | sealed
 *   Ed25519 signature by the admin key over all that precedes it
 *
 * The root slot (kind 1, permissions 3, user id 0) holds
 *   admin seed 32 | writer seed 32 | epochs u32 | (epoch u32 | data key 32) per epoch
 * sealed, with the first 64 bytes of the table as additional data, under the first half of
 *   BLAKE2b-512, keyed with the index key, of "sealvec/1 root slot" | 0 | index id | number u32 |
 *   salt
 * whose other half is the commitment. The keys of an epoch are BLAKE2b-256, keyed with its data
 * key, of "sealvec/1 manifest" | 0, "sealvec/1 objects" | 0 and "sealvec/1 ids" | 0.
 * A user slot (kind 2) is sealed under that user's key and holds the keyring and, for writers,
 * the writer seed; the table has room for it and readers refuse kinds they do not know.
 *
 * History: version 1, 2026.
 */
import { ByteReader, ByteWriter, hex, randomBytes, sameBytes } from './bytes.js';
import type { Core } from './core.js';
import {
  COMMITMENT, deriveCommitted, deriveSubkey, equal, hash, open, publicKey, SALT, seal, Secret, sign,
  SIGNATURE, verify,
} from './crypto.js';
import { SealvecError } from './errors.js';
import { type ObjectKeyring, type ObjectKeys, unknownEpoch } from './object-keys.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import type { ExposedKeys } from '../types/protocol.js';

const MAGIC = new TextEncoder().encode('SVKEYSLT');
const HEADER = 64;
const SLOT_HEADER = 80;
const ROOT = 1;
const MAX_SLOTS = 65_536;
const MAX_EPOCHS = 65_536;

export function slotsKey(indexId: Uint8Array, number: number): string {
  return `data/${hex(indexId)}/slots/${String(number).padStart(8, '0')}`;
}

/** Subkeys of one epoch, one for each purpose. */
export interface EpochKeys extends ObjectKeys {
  readonly manifest: Secret;
}

/** What a slot opens: the right to read, and with the writer seed the right to write. */
export class Keyring implements ObjectKeyring {
  readonly core: Core;
  readonly number: number;
  readonly adminPublic: Uint8Array;
  readonly writerPublic: Uint8Array;
  readonly writerSeed: Secret | undefined;
  readonly #data: Map<number, Secret>;
  readonly #epochs = new Map<number, EpochKeys>();

  constructor(
    core: Core, number: number, data: Map<number, Secret>,
    publics: { admin: Uint8Array; writer: Uint8Array }, writerSeed?: Secret,
  ) {
    this.core = core;
    this.number = number;
    this.#data = data;
    this.adminPublic = publics.admin;
    this.writerPublic = publics.writer;
    this.writerSeed = writerSeed;
  }

  get epoch(): number {
    return Math.max(...this.#data.keys());
  }

  keys(epoch: number): EpochKeys {
    const known = this.#epochs.get(epoch);
    if (known) return known;
    const data = this.#data.get(epoch);
    if (!data) throw unknownEpoch(epoch);
    const keys = {
      manifest: deriveSubkey(data, 'manifest'),
      objects: deriveSubkey(data, 'objects'),
      ids: deriveSubkey(data, 'ids'),
    };
    this.#epochs.set(epoch, keys);
    return keys;
  }

  /** What a training worker needs, to be handed to it; fill it with 0 after use. */
  expose(): ExposedKeys[] {
    return [...this.#data.keys()].map((epoch) => {
      const { objects, ids } = this.keys(epoch);
      return { epoch, objects: objects.expose(), ids: ids.expose() };
    });
  }

  wipe(): void {
    for (const secret of this.#data.values()) secret.wipe();
    for (const keys of this.#epochs.values()) {
      for (const secret of Object.values(keys) as Secret[]) secret.wipe();
    }
    this.#epochs.clear();
    this.writerSeed?.wipe();
  }
}

/** Which index a slot table belongs to. */
export interface IndexIdentity {
  readonly indexId: Uint8Array;
  readonly indexName: string;
}

/** Binds the name too: a header file put in the place of another's leads nowhere. */
function tableHeader(
  core: Core, { indexId, indexName }: IndexIdentity, number: number, slots: number,
): Uint8Array {
  const name = hash(core, new TextEncoder().encode(indexName)).subarray(0, 24);
  return new ByteWriter().bytes(MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(0).bytes(indexId)
    .u32(number).u32(slots).bytes(name).done();
}

function slotContext(indexId: Uint8Array, number: number, salt: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(indexId).u32(number).bytes(salt).done();
}

/** What the root slot of a new index holds: fresh seeds, and a fresh data key of epoch 1. */
function newBundle(): Uint8Array {
  const seeds = randomBytes(96);
  const bundle = new Uint8Array(104);
  bundle.set(seeds.subarray(0, 64));
  bundle.set([1, 0, 0, 0, 1, 0, 0, 0], 64);
  bundle.set(seeds.subarray(64), 72);
  seeds.fill(0);
  return bundle;
}

/** The first slot table of a new index: fresh data key, admin key and writer key, one root slot. */
export function createSlots(core: Core, index: IndexIdentity, indexKey: Uint8Array): Uint8Array {
  const bundle = newBundle();
  const root = new Secret(core, indexKey);
  const adminSeed = new Secret(core, bundle.subarray(0, 32));
  try {
    const header = tableHeader(core, index, 1, 1);
    const salt = randomBytes(SALT);
    const about = slotContext(index.indexId, 1, salt);
    const { secret, commitment } = deriveCommitted(root, 'root slot', about);
    const sealed = seal(secret, header, bundle);
    secret.wipe();
    const body = new ByteWriter().bytes(header).u8(ROOT).u8(3).u16(0).u32(sealed.length)
      .bytes(new Uint8Array(16)).bytes(salt).bytes(commitment).bytes(sealed).done();
    return new ByteWriter().bytes(body).bytes(sign(adminSeed, body)).done();
  } finally {
    bundle.fill(0);
    root.wipe();
    adminSeed.wipe();
  }
}

interface Slot {
  kind: number;
  userId: Uint8Array;
  salt: Uint8Array;
  commitment: Uint8Array;
  sealed: Uint8Array;
}

function readSlot(reader: ByteReader): Slot {
  const kind = reader.u8();
  reader.u8();
  reader.u16();
  const length = reader.u32();
  const userId = reader.bytes(16);
  const salt = reader.bytes(SALT);
  const commitment = reader.bytes(COMMITMENT);
  return { kind, userId, salt, commitment, sealed: reader.bytes(length) };
}

/** The next 32 bytes as a secret; no copy of them is left behind. */
function takeSecret(core: Core, reader: ByteReader): Secret {
  const bytes = reader.bytes(32);
  try {
    return new Secret(core, bytes);
  } finally {
    bytes.fill(0);
  }
}

function readBundle(core: Core, number: number, plain: Uint8Array): Keyring {
  const reader = new ByteReader(plain, 'the root slot');
  const admin = takeSecret(core, reader);
  const writer = takeSecret(core, reader);
  const data = new Map<number, Secret>();
  const epochs = reader.count(36);
  if (epochs < 1 || epochs > MAX_EPOCHS) reader.fail(`holds ${epochs} epochs`);
  for (let i = 0; i < epochs; i++) {
    const epoch = reader.u32();
    data.set(epoch, takeSecret(core, reader));
  }
  reader.end();
  const publics = { admin: publicKey(admin), writer: publicKey(writer) };
  admin.wipe();
  return new Keyring(core, number, data, publics, writer);
}

/**
 * Opens the slot that belongs to the key: the root slot, or with a user id that user's.
 * WRONG_KEY when the commitment does not match or no such slot exists, CORRUPTED for damage.
 */
export function openSlots(
  core: Core, index: IndexIdentity, number: number, table: Uint8Array, indexKey: Uint8Array,
  userId?: Uint8Array,
): Keyring {
  const what = `key slots ${number}`;
  if (table.length < HEADER + SLOT_HEADER + SIGNATURE) {
    throw new SealvecError('CORRUPTED', `${what} are cut short`);
  }
  const body = table.subarray(0, table.length - SIGNATURE);
  const reader = new ByteReader(body, what);
  const header = reader.bytes(HEADER);
  const slots = new DataView(header.buffer).getUint32(36, true);
  if (!sameBytes(header, tableHeader(core, index, number, slots)) || slots > MAX_SLOTS) {
    throw new SealvecError('CORRUPTED', `${what} are those of another index or name`);
  }
  const all = Array.from({ length: slots }, () => readSlot(reader));
  reader.end();
  const slot = userId
    ? all.find((s) => s.kind !== ROOT && sameBytes(s.userId, userId))
    : all.find((s) => s.kind === ROOT);
  if (!slot && !userId) throw new SealvecError('CORRUPTED', `${what} have no root slot`);
  if (!slot) throw new SealvecError('WRONG_KEY', 'no user of this index has that userId');
  const about = slotContext(index.indexId, number, slot.salt);
  const keyring = openRoot(core, header, about, slot, indexKey);
  try {
    verify(core, keyring.adminPublic, body, table.subarray(body.length), what);
  } catch (error) {
    keyring.wipe();
    throw error;
  }
  return keyring;
}

function openRoot(
  core: Core, header: Uint8Array, slotBytes: Uint8Array, slot: Slot, indexKey: Uint8Array,
): Keyring {
  const number = new DataView(header.buffer).getUint32(32, true);
  const root = new Secret(core, indexKey);
  const { secret, commitment } = deriveCommitted(root, 'root slot', slotBytes);
  root.wipe();
  try {
    if (!equal(core, commitment, slot.commitment)) {
      throw new SealvecError('WRONG_KEY', 'the key does not open this index');
    }
    const plain = open(secret, header, slot.sealed, `key slots ${number}`);
    try {
      return readBundle(core, number, plain);
    } finally {
      plain.fill(0);
    }
  } finally {
    secret.wipe();
  }
}
