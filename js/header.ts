/**
 * The header of an index: which name stands for which random index id.
 *
 *   index/<name>   64 bytes: magic "SVINDEX1" | version u16 | suite u16 | 0 u32 | index id 16 |
 *                  0 * 32
 *
 * History: version 1, 2026.
 */
import { sameBytes } from './bytes.js';
import { SealvecError } from './errors.js';
import { ByteWriter } from './records.js';
import { FORMAT_VERSION, SUITE } from './version.js';
import type { Storage } from '../types/api.js';

const MAGIC = new TextEncoder().encode('SVINDEX1');
const PREFIX = 'index/';
const SAFE = /[a-z0-9_-]/;

/** A name as a storage key: lower case, digits, `-` and `_`; every other byte as %xx. */
export function headerKey(indexName: string): string {
  const bytes = new TextEncoder().encode(indexName);
  const name = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    return SAFE.test(char) ? char : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');
  return PREFIX + name;
}

/** The name behind a key; undefined for a key that headerKey does not make. */
function nameOf(key: string): string | undefined {
  try {
    const name = decodeURIComponent(key.slice(PREFIX.length));
    return headerKey(name) === key ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Names of all indexes in a storage. */
export async function listIndexNames(storage: Storage): Promise<string[]> {
  const names = (await storage.list(PREFIX)).map(nameOf);
  return names.filter((name) => name !== undefined).sort();
}

export function encodeHeader(indexId: Uint8Array): Uint8Array {
  return new ByteWriter().bytes(MAGIC).u16(FORMAT_VERSION).u16(SUITE).u32(0).bytes(indexId)
    .bytes(new Uint8Array(32)).done();
}

function refuseHeader(indexName: string, bytes: Uint8Array): never {
  const version = bytes.length < 10 ? FORMAT_VERSION
    : new DataView(bytes.buffer, bytes.byteOffset).getUint16(8, true);
  if (version === FORMAT_VERSION || !sameBytes(bytes.subarray(0, 8), MAGIC)) {
    throw new SealvecError('CORRUPTED', `the header of index '${indexName}' is damaged`);
  }
  const message = `index '${indexName}' has format ${version}`;
  throw new SealvecError('UNSUPPORTED', `${message}, this library reads ${FORMAT_VERSION}`);
}

/** The id of an index by name; NOT_FOUND when there is none. */
export async function readIndexId(storage: Storage, indexName: string): Promise<Uint8Array> {
  const bytes = await storage.read(headerKey(indexName));
  if (!bytes) throw new SealvecError('NOT_FOUND', `no index named '${indexName}'`);
  const indexId = bytes.slice(16, 32);
  if (indexId.length < 16 || !sameBytes(bytes, encodeHeader(indexId))) {
    refuseHeader(indexName, bytes);
  }
  return indexId;
}
