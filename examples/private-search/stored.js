// The stored bytes, read from IndexedDB as anyone could who has the disk: without the library and
// without the key.
import { $, h } from './dom.js';
import { DATABASE } from './vault.js';
import { attempt, counted, size, whole } from './words.js';

const STORES = ['objects', 'parts'];
const SHOWN = 6;
/** What differs in the names of records of one kind. */
const NUMBERS = /[0-9a-f]{16,}|\d+/g;
const RANDOM_ID = /([0-9a-f]{8})[0-9a-f]{24}/g;
const ROWS = 10;
const ROW_BYTES = 8;
/** Shorter words are found in any noise. */
const LEAST_BYTES = 4;

const finished = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** Calls `visit` with the store, key and bytes of each value, one at a time. */
async function eachValue(visit) {
  const request = indexedDB.open(DATABASE);
  request.onupgradeneeded = () => request.transaction.abort();
  const db = await finished(request);
  try {
    for (const name of STORES) {
      const keys = await finished(db.transaction(name).objectStore(name).getAllKeys());
      for (const key of keys) {
        const value = await finished(db.transaction(name).objectStore(name).get(key));
        const buffer = name === 'parts' ? value : value?.bytes;
        visit({ key: [key].flat().join(' · part '), bytes: new Uint8Array(buffer ?? 0) });
      }
    }
  } finally {
    db.close();
  }
}

const hex = (number, digits) => number.toString(16).padStart(digits, '0');

/** Bytes as a dump: offset, values, and the letters that they would be. */
function dump(bytes, from) {
  const lines = [];
  const end = Math.min(bytes.length, from + ROWS * ROW_BYTES);
  for (let at = from; at < end; at += ROW_BYTES) {
    const row = [...bytes.subarray(at, Math.min(at + ROW_BYTES, end))];
    const values = row.map((byte) => hex(byte, 2)).join(' ').padEnd(ROW_BYTES * 3);
    const letters = row.map((byte) => (byte > 32 && byte < 127 ? String.fromCharCode(byte) : '·'));
    lines.push(`${hex(at, 6)}  ${values} ${letters.join('')}`);
  }
  return lines.join('\n');
}

/** Small records from their beginning, large ones from their middle. */
function figure({ key, bytes }) {
  const from = bytes.length > 4_096 ? (bytes.length >> 1) & ~(ROW_BYTES - 1) : 0;
  const where = from > 0 ? `from byte ${whole(from)} of ${whole(bytes.length)}`
    : `${whole(bytes.length)} bytes`;
  const name = key.replace(RANDOM_ID, '$1…');
  return h('figure', {},
    h('figcaption', {}, h('b', {}, name), ` — ${where}`),
    h('pre', { tabindex: '0', 'aria-label': `Bytes of ${name}` }, dump(bytes, from)));
}

/** Shannon's entropy of byte counts, in bits per byte. */
function entropy(counts, total) {
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / total) * Math.log2(count / total);
  return bits;
}

/** Whether bytes hold a needle, at any offset. */
function holds(bytes, needle) {
  const [first] = needle;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (needle.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

/** Looks for a word in every value and in the names of all. */
async function scan(word) {
  const needle = new TextEncoder().encode(word);
  let total = 0;
  let values = 0;
  const found = [];
  await eachValue(({ key, bytes }) => {
    total += bytes.length;
    values++;
    if (holds(new TextEncoder().encode(key), needle)) found.push(`the name ${key}`);
    if (holds(bytes, needle)) found.push(`the bytes of ${key}`);
  });
  const where = `${size(total)} in ${counted(values, 'value')}`;
  return found.length === 0
    ? `“${word}” is nowhere in ${where}.`
    : `“${word}” is in ${found.slice(0, 3).join(', ')}; looked through ${where}.`;
}

/** A few records: one of each kind, then others from all over. */
function choose(records) {
  const kinds = new Map(records.map((record) => [record.key.replace(NUMBERS, ''), record]));
  const first = [...kinds.values()].slice(0, SHOWN);
  const others = records.filter((record) => !first.includes(record));
  const room = Math.min(SHOWN - first.length, others.length);
  const step = others.length / Math.max(room, 1);
  return [...first, ...Array.from({ length: room }, (_, i) => others[Math.floor(i * step)])];
}

async function show() {
  const counts = new Float64Array(256);
  const kept = [];
  let total = 0;
  let values = 0;
  await eachValue((record) => {
    values++;
    total += record.bytes.length;
    for (const byte of record.bytes) counts[byte]++;
    if (record.bytes.length > 0) kept.push(record);
  });
  $('records').replaceChildren(...choose(kept).map(figure));
  $('stored-text').textContent =
    `${size(total)} in ${counted(values, 'value')} of the IndexedDB database ` +
    `“${DATABASE}”, read without the key: ${entropy(counts, total).toFixed(3)} of 8 bits of ` +
    'entropy per byte. Names and sizes can be seen, and at the head of a record what kind it is; ' +
    'nothing of what is inside.';
}

export function storedPanel() {
  $('read-stored').addEventListener('click', () => attempt(show));
  $('scan-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const word = $('needle').value.trim();
    const short = new TextEncoder().encode(word).length < LEAST_BYTES;
    $('scan-result').textContent = short
      ? `Give at least ${LEAST_BYTES} letters.`
      : await attempt(() => scan(word)) ?? '';
  });
  return show;
}
