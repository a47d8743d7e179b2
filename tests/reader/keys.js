// From an index's name and key to the keys of its data: the header (js/header.ts) and the table of
// key slots (js/slots.ts, js/root.ts).
import { Fields } from './fields.js';
import {
  blake2b256, committedKey, demand, hexOf, publicKeyFrom, rawPublicOf, same, subkey, unseal,
  verifySigned,
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

const readSlot = (fields, length) => ({
  salt: fields.bytes(24), commitment: fields.bytes(32), sealed: fields.bytes(length - 56),
});

/** What every slot holds, and the root slot more. */
function readRights(plain, isRoot) {
  const fields = new Fields(plain, 'a slot');
  const [adminPublic, writerPublic] = [fields.bytes(32), fields.bytes(32)];
  const permissions = fields.u32();
  const writerSeed = fields.bytes(32);
  const epochs = new Map(fields.many(fields.u32(), () => [fields.u32(), fields.bytes(32)]));
  const rights = { adminPublic, writerPublic, permissions, writerSeed, epochs };
  const root = isRoot && {
    adminSeed: fields.bytes(32), rekeying: fields.u32(),
    users: fields.many(fields.u32(), () => (
      { id: fields.bytes(16), permissions: fields.u32(), wrap: fields.bytes(32) })),
  };
  fields.end();
  const writes = (permissions & 2) === 2;
  demand(writes || writerSeed.every((byte) => byte === 0), 'a reader with a writer seed');
  demand(!writes || same(rawPublicOf(writerSeed), writerPublic), 'another writer key');
  demand(!isRoot || same(rawPublicOf(root.adminSeed), adminPublic), 'another admin key');
  return { ...rights, ...root };
}

/** Opens a table of key slots with the index key, or with `userId` a user's. */
export function openSlots(objects, { indexId, folder }, name, number, key, userId) {
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
  const [rootLength, userLength] = [fields.u32(), fields.u32()];
  const whole = 72 + rootLength + count * userLength === table.length;
  demand(whole && rootLength > 56 && count <= 4096, `${what} are not as long as they say`);
  const root = readSlot(fields, rootLength);
  const users = fields.many(count, () => readSlot(fields, userLength));
  fields.end();
  const kind = userId ? 'user' : 'root';
  const wrap = subkey(key, kind, indexId, userId ?? new Uint8Array());
  const opened = (userId ? users : [root])
    .map((slot) => ({ slot, ...committedKey(wrap, `${kind} slot`, indexId, n, slot.salt) }))
    .find(({ slot, commitment }) => same(slot.commitment, commitment));
  demand(opened, 'the key does not open this index');
  const rights = readRights(unseal(opened.key, header, opened.slot.sealed, what), !userId);
  verifySigned(bytes, publicKeyFrom(rights.adminPublic), what);
  return {
    ...rights, wrap, slotKey: opened.key, sealed: [root, ...users].map(({ sealed }) => sealed),
    hash: blake2b256(bytes),
  };
}

/** The keys of an epoch, by what they are for. */
export function epochKeys(dataKey) {
  return {
    manifest: subkey(dataKey, 'manifest'),
    objects: subkey(dataKey, 'objects'),
    ids: subkey(dataKey, 'ids').subarray(0, 16),
  };
}
