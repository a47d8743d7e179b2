// Segments, centroids and tombstones (js/object.ts): the sections of each, authenticated.
import { epochKeys } from './keys.js';
import { blake2b256, demand, hexOf, same, unseal } from './primitives.js';

const CHUNK = 16_344;
const OVERHEAD = 40;

const chunksOf = (length) => Math.ceil(length / CHUNK);

function headerOf(indexId, ref, chunks) {
  const header = Buffer.alloc(64);
  header.write('SVOBJECT');
  header.writeUInt16LE(1, 8);
  header.writeUInt16LE(1, 10);
  header[12] = ref.type;
  header.set(indexId, 16);
  header.set(ref.id, 32);
  header.writeUInt32LE(ref.epoch, 48);
  header.writeUInt32LE(chunks, 52);
  return header;
}

/** The plain bytes of each section, and the sealed chunks they came from. */
export function openObject(objects, { indexId, folder }, epochs, ref) {
  const what = `object ${hexOf(ref.id)}`;
  const bytes = objects.get(`${folder}/object/${hexOf(ref.id)}`);
  demand(bytes, `${what} is missing`);
  const dataKey = epochs.get(ref.epoch);
  demand(dataKey, `epoch ${ref.epoch} has no key`);
  const key = epochKeys(dataKey).objects;
  const total = ref.lengths.reduce((sum, length) => sum + chunksOf(length), 0);
  const header = headerOf(indexId, ref, total);
  demand(same(bytes.subarray(0, 64), header), `${what} has another header`);
  const table = bytes.subarray(64, 64 + 32 * total);
  const isNamed = same(blake2b256(bytes.subarray(0, 64 + 32 * total)), ref.tableHash);
  demand(isNamed, `${what} has another table`);
  let at = 64 + 32 * total;
  let number = 0;
  const sealed = [];
  const sections = ref.lengths.map((length, section) => {
    const count = chunksOf(length);
    const parts = Array.from({ length: count }, (_, chunk) => {
      const plain = Math.min(CHUNK, length - chunk * CHUNK);
      const one = bytes.subarray(at, at += plain + OVERHEAD);
      const hash = table.subarray(32 * number, 32 * ++number);
      demand(same(blake2b256(one), hash), `${what} has another chunk`);
      const place = Buffer.alloc(16);
      [section, chunk, count, plain].forEach((value, i) => place.writeUInt32LE(value, 4 * i));
      sealed.push(one);
      return unseal(key, Buffer.concat([header, place]), one, what);
    });
    return new Uint8Array(Buffer.concat(parts));
  });
  demand(at === bytes.length, `${what} has bytes behind its end`);
  return { sections, sealed };
}
