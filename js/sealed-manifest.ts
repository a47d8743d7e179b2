/**
 * Manifests: what one commit says of the whole index, sealed and signed.
 *
 *   header 64:  magic "SVMANIFS" | version u16 | suite u16 | epoch u32 | index id 16 |
 *               generation u64 | key slots number u32 | body length u32 | 0 * 16
 *   salt 24 | commitment 32 | nonce 24 | body | tag 16
 *   Ed25519 signature by the writer key over all that precedes it
 *
 * Body key and commitment are the halves of BLAKE2b-512, keyed with the epoch's manifest key, of
 * "sealvec/1 manifest" | 0 | index id | generation u64 | salt; the header is the additional data.
 * The body is
 *
 *   commits before u32 (at most 64, oldest first), of each: generation u64 | BLAKE2b-256 of its
 *     manifest | BLAKE2b-256 of the key slots |
 *   metric u8 | precision u8 | auto train u8 | 0 u8 | dimension u32 | lists u32 |
 *   centroids: object, unless lists is 0 |
 *   segments u32, of each: object | rows u32 | in lists u8 | has tombstones u8 | 0 u16 |
 *     dead rows u32, all told | tombstones: object, if it has | n u32 | n dead rows u32, which
 *     the tombstones do not hold |
 *   condemned u32, of each: id 16 | since generation u64 |
 *   writers u32, of each: id 16 | turn u64 | generation u64
 *
 *   object: id 16 | type u8 | sections u8 | 0 u16 | epoch u32 | of each section: length u32 |
 *           plain bytes of its chunks u32 | BLAKE2b-256 of header and table
 *
 * metric: 0 euclidean, 1 squared_euclidean, 2 cosine, 3 inner_product; precision: 0 float32,
 * 1 float16; type: 1 segment, 2 centroids, 3 tombstones, of 7, 2 and 1 sections.
 *
 * History: version 1, 2026.
 */
import { hex, randomBytes, sameBytes } from './bytes.js';
import {
  COMMITMENT, deriveCommitted, equal, hash, open, OVERHEAD, SALT, seal, sign, SIGNATURE, verify,
} from './crypto.js';
import { SealvecError } from './errors.js';
import type { Keyring } from './keyring.js';
import {
  type Ancestor, type Manifest, MAX_ANCESTORS, MAX_DIMENSION, MAX_LISTS, namedObjects,
  SECTION_COUNT, SECTIONS, vectorBytes,
} from './manifest.js';
import { OBJECT_TYPES } from './object.js';
import { LEAST_CHUNK, MOST_CHUNK } from './object-layout.js';
import { ByteReader, ByteWriter } from './records.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import type { Metric, Precision } from '../types/api.js';
import type { IndexConfig, ObjectRef, ObjectType, SegmentEntry } from '../types/format.js';

const MAGIC = new TextEncoder().encode('SVMANIFS');
const HEADER = 64;
const FIXED = HEADER + SALT + COMMITMENT + OVERHEAD + SIGNATURE;
const METRICS: readonly Metric[] = ['euclidean', 'squared_euclidean', 'cosine', 'inner_product'];
const PRECISIONS: readonly Precision[] = ['float32', 'float16'];
const TYPE_NAMES = Object.keys(OBJECT_TYPES) as ObjectType[];
const MAX_SECTION = 2 ** 31;

function writeRef(out: ByteWriter, ref: ObjectRef): void {
  out.bytes(ref.id).u8(OBJECT_TYPES[ref.type]).u8(ref.lengths.length).u16(0).u32(ref.epoch);
  ref.lengths.forEach((length, section) => out.u32(length).u32(ref.chunkBytes[section] ?? 0));
  out.bytes(ref.tableHash);
}

function readRef(reader: ByteReader, type: ObjectType, sections: number): ObjectRef {
  const id = reader.bytes(16);
  if (TYPE_NAMES[reader.u8() - 1] !== type) reader.fail(`names an object that is no ${type}`);
  if (reader.u8() !== sections) reader.fail(`names ${type} with other sections`);
  reader.u16();
  const epoch = reader.u32();
  const sizes = Array.from({ length: sections }, () => [reader.u32(), reader.u32()] as const);
  const lengths = sizes.map(([length]) => length);
  const chunkBytes = sizes.map(([, bytes]) => bytes);
  if (lengths.some((length) => length > MAX_SECTION)) reader.fail('names a section over 2 GiB');
  if (chunkBytes.some((bytes) => bytes < LEAST_CHUNK || bytes > MOST_CHUNK)) {
    reader.fail('names chunks of no valid size');
  }
  return { id, type, epoch, lengths, chunkBytes, tableHash: reader.bytes(32) };
}

function encodeBody(manifest: Manifest): Uint8Array {
  const { config, clustering } = manifest;
  const out = new ByteWriter().u32(manifest.ancestors.length);
  for (const { generation, hash: digest } of manifest.ancestors) out.u64(generation).bytes(digest);
  out.bytes(manifest.slots.hash)
    .u8(METRICS.indexOf(config.metric)).u8(PRECISIONS.indexOf(config.precision))
    .u8(config.autoTrain ? 1 : 0).u8(0)
    .u32(config.dimension).u32(clustering?.nLists ?? 0);
  if (clustering) writeRef(out, clustering.object);
  out.u32(manifest.segments.length);
  for (const entry of manifest.segments) {
    writeRef(out, entry.object);
    out.u32(entry.rows).u8(entry.listed ? 1 : 0).u8(entry.tombstones ? 1 : 0).u16(0)
      .u32(entry.dead);
    if (entry.tombstones) writeRef(out, entry.tombstones);
    out.u32(entry.deadRows.length);
    for (const row of entry.deadRows) out.u32(row);
  }
  out.u32(manifest.condemned.length);
  for (const { id, since } of manifest.condemned) out.bytes(id).u64(since);
  out.u32(manifest.writers.length);
  for (const { id, turn, generation } of manifest.writers) out.bytes(id).u64(turn).u64(generation);
  return out.done();
}

function readSegment(reader: ByteReader, config: IndexConfig, clustered: boolean): SegmentEntry {
  const object = readRef(reader, 'segment', SECTION_COUNT);
  const rows = reader.u32();
  const flags = [reader.u8(), reader.u8()];
  reader.u16();
  const dead = reader.u32();
  const tombstones = flags[1] ? readRef(reader, 'tombstones', 1) : undefined;
  const deadRows = Uint32Array.from({ length: reader.count(4) }, () => reader.u32());
  const length = (section: number): number => object.lengths[section] ?? 0;
  const blobs = [SECTIONS.ids, SECTIONS.metadata, SECTIONS.contents];
  if (rows < 1 || dead > rows || deadRows.some((row) => row >= rows) ||
      length(SECTIONS.vectors) !== rows * vectorBytes(config) ||
      length(SECTIONS.idTable) !== rows * 12 || length(SECTIONS.lists) % 4 !== 0 ||
      blobs.some((section) => length(section) < 4 * (rows + 1)) || (flags[0] && !clustered) ||
      (tombstones && tombstones.lengths[0] !== Math.ceil(rows / 8))) {
    reader.fail('describes a segment that contradicts itself');
  }
  return { object, rows, listed: flags[0] === 1, dead, tombstones, deadRows };
}

function readAncestors(reader: ByteReader, generation: number): Ancestor[] {
  const ancestors = Array.from({ length: reader.count(40) }, () => ({
    generation: reader.u64(), hash: reader.bytes(32),
  }));
  let last = 0;
  for (const ancestor of ancestors) {
    if (ancestor.generation <= last) reader.fail('has ancestors out of order');
    last = ancestor.generation;
  }
  if (last >= generation || ancestors.length > MAX_ANCESTORS) reader.fail('has false ancestors');
  return ancestors;
}

function decodeBody(generation: number, slotsNumber: number, body: Uint8Array): Manifest {
  const reader = new ByteReader(body, `manifest ${generation}`);
  const ancestors = readAncestors(reader, generation);
  const slots = { number: slotsNumber, hash: reader.bytes(32) };
  const metric = METRICS[reader.u8()] ?? reader.fail('names an unknown metric');
  const precision = PRECISIONS[reader.u8()] ?? reader.fail('names an unknown precision');
  const autoTrain = reader.u8() === 1;
  reader.u8();
  const dimension = reader.u32();
  if (dimension > MAX_DIMENSION) reader.fail(`has dimension ${dimension}`);
  const config = { metric, precision, autoTrain, dimension };
  const nLists = reader.u32();
  if (nLists > MAX_LISTS) reader.fail(`has ${nLists} lists`);
  const clustering = nLists ? { nLists, object: readRef(reader, 'centroids', 2) } : undefined;
  const segments = Array.from(
    { length: reader.count(100) }, () => readSegment(reader, config, nLists > 0),
  );
  const condemned = Array.from({ length: reader.count(24) }, () => ({
    id: reader.bytes(16), since: reader.u64(),
  }));
  const writers = Array.from({ length: reader.count(32) }, () => ({
    id: reader.bytes(16), turn: reader.u64(), generation: reader.u64(),
  }));
  reader.end();
  return { generation, ancestors, slots, config, clustering, segments, condemned, writers };
}

function keyContext(indexId: Uint8Array, generation: number, salt: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(indexId).u64(generation).bytes(salt).done();
}

/** Seals and signs a manifest; the keyring must hold the writer seed. */
export function sealManifest(
  keyring: Keyring, indexId: Uint8Array, manifest: Manifest,
): Uint8Array {
  const { generation, slots } = manifest;
  const { writerSeed } = keyring;
  const body = encodeBody(manifest);
  const header = new ByteWriter().bytes(MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(keyring.epoch)
    .bytes(indexId).u64(generation).u32(slots.number).u32(body.length)
    .bytes(new Uint8Array(16)).done();
  const salt = randomBytes(SALT);
  const { secret, commitment } = deriveCommitted(
    keyring.keys(keyring.epoch).manifest, 'manifest', keyContext(indexId, generation, salt),
  );
  const sealed = seal(secret, header, body);
  secret.wipe();
  const signed = new ByteWriter().bytes(header).bytes(salt).bytes(commitment).bytes(sealed).done();
  return new ByteWriter().bytes(signed).bytes(sign(writerSeed, signed)).done();
}

/** What a manifest says before it is authenticated: enough to find the key slots. */
export interface ManifestHeader {
  readonly epoch: number;
  readonly slotsNumber: number;
}

/**
 * Checks magic, version, index, generation and length of a manifest. `undefined` when it is torn:
 * shorter than it says it is.
 */
export function readManifestHeader(
  bytes: Uint8Array, indexId: Uint8Array, generation: number,
): ManifestHeader | undefined {
  if (bytes.length < FIXED) return undefined;
  const reader = new ByteReader(bytes, `manifest ${generation}`);
  const magic = reader.bytes(8);
  if (hex(magic) !== hex(MAGIC)) reader.fail('is not a manifest');
  const version = reader.u16();
  if (version !== FORMAT_VERSION || reader.u16() !== SUITE) {
    const message = `manifest ${generation} has format ${version}`;
    throw new SealvecError('UNSUPPORTED', `${message}, this library reads ${FORMAT_VERSION}`);
  }
  const epoch = reader.u32();
  if (hex(reader.bytes(16)) !== hex(indexId)) reader.fail('belongs to another index');
  if (reader.u64() !== generation) reader.fail('belongs to another generation');
  const slotsNumber = reader.u32();
  const length = FIXED + reader.u32();
  if (bytes.length > length) reader.fail('is longer than it says');
  return bytes.length < length ? undefined : { epoch, slotsNumber };
}

/** Verifies and opens a manifest whose header was read; the keyring must be that of its slots. */
export function openManifest(
  keyring: Keyring, indexId: Uint8Array, generation: number, bytes: Uint8Array,
): Manifest {
  const what = `manifest ${generation}`;
  const { core } = keyring;
  const signed = bytes.subarray(0, bytes.length - SIGNATURE);
  const reader = new ByteReader(signed, what);
  const header = reader.bytes(HEADER);
  const view = new DataView(header.buffer);
  const { number, hash: slotsHash, writerPublic } = keyring.table;
  if (view.getUint32(12, true) !== keyring.epoch || view.getUint32(40, true) !== number) {
    throw new SealvecError('CORRUPTED', `${what} is not of the epoch of its key slots`);
  }
  const salt = reader.bytes(SALT);
  const { secret, commitment } = deriveCommitted(
    keyring.keys(keyring.epoch).manifest, 'manifest', keyContext(indexId, generation, salt),
  );
  try {
    if (!equal(core, commitment, reader.bytes(COMMITMENT))) {
      throw new SealvecError('CORRUPTED', `${what}: key commitment does not match`);
    }
    verify(core, writerPublic, signed, bytes.subarray(signed.length), what);
    const body = open(secret, header, reader.bytes(reader.left), what);
    const manifest = decodeBody(generation, number, body);
    if (!sameBytes(manifest.slots.hash, slotsHash)) {
      throw new SealvecError('CORRUPTED', `${what} was made under other key slots`);
    }
    if (namedObjects(manifest).some(({ epoch }) => !keyring.holds(epoch))) {
      throw new SealvecError('CORRUPTED', `${what} names an object of an epoch that has expired`);
    }
    return manifest;
  } finally {
    secret.wipe();
  }
}

/** The hash by which the next manifest names this one. */
export function manifestHash(keyring: Keyring, bytes: Uint8Array): Uint8Array {
  return hash(keyring.core, bytes);
}
