// Segments, centroids and tombstones (js/object.ts): the sections of each, authenticated.
import { epochKeys } from './keys.js';
import { blake2b256, demand, hexOf, same, unseal } from './primitives.js';

const OVERHEAD = 40;
const PAGE = 64;

const chunksOf = ({ length, chunk }) => Math.ceil(length / chunk);
const pagesOf = (size) => Math.ceil(chunksOf(size) / PAGE);
const sumOf = (numbers) => numbers.reduce((sum, number) => sum + number, 0);

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
  const header = headerOf(indexId, ref, sumOf(ref.sizes.map(chunksOf)));
  demand(same(bytes.subarray(0, 64), header), `${what} has another header`);
  let at = 64 + 32 * sumOf(ref.sizes.map(pagesOf));
  const table = bytes.subarray(64, at);
  const isNamed = same(blake2b256(bytes.subarray(0, at)), ref.tableHash);
  demand(isNamed, `${what} has another table`);
  const next = (length) => bytes.subarray(at, at += length);
  let pages = 0;
  let page;
  const sealed = [];
  const sections = ref.sizes.map((size, section) => {
    const count = chunksOf(size);
    const parts = Array.from({ length: count }, (_, chunk) => {
      if (chunk % PAGE === 0) {
        page = next(32 * Math.min(PAGE, count - chunk));
        const known = same(blake2b256(page), table.subarray(32 * pages, 32 * ++pages));
        demand(known, `${what} has another page`);
      }
      const plain = Math.min(size.chunk, size.length - chunk * size.chunk);
      const one = next(plain + OVERHEAD);
      const hash = page.subarray(32 * (chunk % PAGE), 32 * (chunk % PAGE + 1));
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
