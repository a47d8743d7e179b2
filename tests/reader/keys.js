// From an index's name and key to the keys of its data: the header (js/header.ts) and the table of
// key slots (js/keys.ts).
import { Fields } from './fields.js';
import {
  blake2b256, committedKey, demand, hexOf, publicKeyOf, same, subkey, unseal, verifySigned,
} from './primitives.js';

function object(objects, key) {
  const bytes = objects.get(key);
  demand(bytes, `${key} is missing`);
  return bytes;
}

/** Where the objects of an index are. */
export function folderOf(objects, name) {
  const path = Array.from(Buffer.from(name), (byte) => {
    const letter = String.fromCharCode(byte);
    return /[a-z0-9_-]/.test(letter) ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');
  const fields = new Fields(object(objects, `index/${path}`), 'the header');
  fields.head('SVINDEX1');
  fields.zeros(4);
  const indexId = fields.bytes(16);
  fields.zeros(32);
  fields.end();
  return { indexId, folder: `data/${hexOf(indexId)}` };
}

function readSlot(fields) {
  const [kind, permissions] = [fields.u8(), fields.u8()];
  fields.zeros(2);
  const length = fields.u32();
  const [userId, salt, commitment] = [16, 24, 32].map((size) => fields.bytes(size));
  return { kind, permissions, userId, salt, commitment, sealed: fields.bytes(length) };
}

/** What the root slot holds. */
function readBundle(plain) {
  const fields = new Fields(plain, 'the root slot');
  const [adminSeed, writerSeed] = [fields.bytes(32), fields.bytes(32)];
  const epochs = new Map(fields.many(fields.u32(), () => [fields.u32(), fields.bytes(32)]));
  fields.end();
  return { adminSeed, writerSeed, epochs };
}

/** Opens a table of key slots with the index key. */
export function openSlots(objects, { indexId, folder }, name, number, indexKey) {
  const what = `key slots ${number}`;
  const bytes = object(objects, `${folder}/slots/${String(number).padStart(8, '0')}`);
  const table = bytes.subarray(0, -64);
  const header = table.subarray(0, 64);
  const fields = new Fields(table, what);
  fields.head('SVKEYSLT');
  fields.zeros(4);
  demand(same(fields.bytes(16), indexId), `${what} are of another index`);
  const n = Buffer.alloc(4);
  n.writeUInt32LE(number);
  demand(same(fields.bytes(4), n), `${what} have another number`);
  const count = fields.u32();
  const nameHash = blake2b256(Buffer.from(name)).subarray(0, 24);
  demand(same(fields.bytes(24), nameHash), `${what} are of another name`);
  const slots = fields.many(count, () => readSlot(fields));
  fields.end();
  const root = slots.find(({ kind }) => kind === 1);
  demand(root, `${what} have no root slot`);
  const { key, commitment } = committedKey(indexKey, 'root slot', indexId, n, root.salt);
  demand(same(commitment, root.commitment), 'the key does not open this index');
  const bundle = readBundle(unseal(key, header, root.sealed, what));
  verifySigned(bytes, publicKeyOf(bundle.adminSeed), what);
  return { ...bundle, slotKey: key, sealed: [root.sealed], hash: blake2b256(bytes) };
}

/** The keys of an epoch, by what they are for. */
export function epochKeys(dataKey) {
  return {
    manifest: subkey(dataKey, 'manifest'),
    objects: subkey(dataKey, 'objects'),
    ids: subkey(dataKey, 'ids').subarray(0, 16),
  };
}
