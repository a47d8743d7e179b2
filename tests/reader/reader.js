/**
 * Reads an index of SealVec without SealVec: on node:crypto and @noble, by what the heads of
 * js/header.ts, js/slots.ts, js/root.ts, js/sealed-manifest.ts, js/object.ts, js/centroids.ts,
 * js/tombstones.ts, c/segment.c and c/codes.c say of the bytes. It shares no code with the library,
 * and so shows that they say enough. Everything that is there is read and checked; the first thing
 * wrong is a FormatError.
 */
import { epochKeys, folderOf } from './keys.js';
import { openManifests } from './manifest.js';
import { openObject } from './objects.js';
import { demand, hexOf } from './primitives.js';
import { deadRows, readCentroids, readRows } from './rows.js';

/** Every key that a manifest leads to, [what it is, bytes]. */
export function secretsOf({ keys, bodyKey }) {
  const ofEpochs = [...keys.epochs.values()].flatMap((key) => [
    ['a data key', key],
    ...Object.entries(epochKeys(key)).map(([use, one]) => [`key of ${use}`, one]),
  ]);
  return [
    ['the admin seed', keys.adminSeed], ['the writer seed', keys.writerSeed],
    ['a wrap', keys.wrap], ...keys.users.map(({ wrap }) => ["a user's wrap", wrap]),
    ['the key of a slot', keys.slotKey], ['the key of a manifest', bodyKey], ...ofEpochs,
  ];
}

/**
 * The newest commit of an index: its configuration, its items by id, its centroids. `objects` is a
 * Map of keys to bytes; with `userId` the key is that user's. Also every nonce that it met, by
 * where it stands.
 */
export function readIndex(objects, name, indexKey, userId) {
  const index = folderOf(objects, name);
  const manifests = openManifests(objects, index, name, { indexKey, userId });
  const newest = manifests.at(-1);
  const nonces = new Map();
  const note = (where, sealed) => sealed.forEach((one, i) =>
    nonces.set(`${where} ${i}`, hexOf(one.subarray(0, 24))));
  for (const { generation, keys, sealed } of manifests) {
    note(`manifest ${generation}`, [sealed]);
    note(`slots ${hexOf(keys.hash)}`, keys.sealed);
  }
  const open = (ref) => {
    const object = openObject(objects, index, newest.keys.epochs, ref);
    note(`object ${hexOf(ref.id)}`, object.sealed);
    return object.sections;
  };
  const items = new Map();
  for (const entry of newest.segments) {
    const { ids } = epochKeys(newest.keys.epochs.get(entry.object.epoch));
    const rows = readRows(open(entry.object), entry, newest, ids);
    const dead = deadRows(entry, entry.tombstones && open(entry.tombstones)[0]);
    rows.forEach(({ id, ...item }, row) => {
      if (dead.has(row)) return;
      demand(!items.has(id), 'an id that lives twice');
      items.set(id, item);
    });
  }
  const { metric, precision, dimension, autoTrain, nLists, generation, segments } = newest;
  return {
    config: { metric, precision, dimension, autoTrain }, generation, nLists, items,
    epochs: [...newest.keys.epochs.keys()], segments: segments.length, manifests: manifests.length,
    clustering: newest.centroids && readCentroids(open(newest.centroids), newest),
    nonces,
  };
}
