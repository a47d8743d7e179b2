// Manifests (js/sealed-manifest.ts): what one commit says of the whole index.
import { Fields } from './fields.js';
import { epochKeys, openSlots } from './keys.js';
import {
  blake2b256, committedKey, demand, publicKeyFrom, same, unseal, verifySigned,
} from './primitives.js';

const METRICS = ['euclidean', 'squared_euclidean', 'cosine', 'inner_product'];
const PRECISIONS = ['float32', 'float16'];
const SEGMENT = 1;
const CENTROIDS = 2;
const TOMBSTONES = 3;
const SECTIONS = { [SEGMENT]: 7, [CENTROIDS]: 2, [TOMBSTONES]: 1 };

function readObject(fields, type) {
  const id = fields.bytes(16);
  demand(fields.u8() === type, 'an object of another type');
  const sections = fields.u8();
  demand(sections === SECTIONS[type], `${sections} sections`);
  fields.zeros(2);
  const epoch = fields.u32();
  const sizes = fields.many(sections, () => ({ length: fields.u32(), chunk: fields.u32() }));
  return { id, type, epoch, sizes, tableHash: fields.bytes(32) };
}

function readSegment(fields) {
  const object = readObject(fields, SEGMENT);
  const rows = fields.u32();
  const [listed, hasBitmap] = [fields.u8() === 1, fields.u8() === 1];
  fields.zeros(2);
  const dead = fields.u32();
  const tombstones = hasBitmap ? readObject(fields, TOMBSTONES) : undefined;
  const deadRows = fields.many(fields.u32(), () => fields.u32());
  return { object, rows, listed, dead, tombstones, deadRows };
}

function readBody(body) {
  const fields = new Fields(body, 'the body of a manifest');
  const ancestors = fields.many(fields.u32(), () => (
    { generation: fields.u64(), hash: fields.bytes(32) }));
  const slotsHash = fields.bytes(32);
  const [metric, precision] = [METRICS[fields.u8()], PRECISIONS[fields.u8()]];
  demand(metric && precision, 'a metric or a precision that is not known');
  const autoTrain = fields.u8() === 1;
  fields.zeros(1);
  const dimension = fields.u32();
  const nLists = fields.u32();
  const centroids = nLists > 0 ? readObject(fields, CENTROIDS) : undefined;
  const segments = fields.many(fields.u32(), () => readSegment(fields));
  const condemned = fields.many(fields.u32(), () => (
    { id: fields.bytes(16), since: fields.u64() }));
  const writers = fields.many(fields.u32(), () => (
    { id: fields.bytes(16), turn: fields.u64(), generation: fields.u64() }));
  fields.end();
  return {
    ancestors, slotsHash, metric, precision, autoTrain, dimension, nLists, centroids, segments,
    condemned, writers,
  };
}

function readHeader(bytes, indexId, generation) {
  const fields = new Fields(bytes, `manifest ${generation}`);
  fields.head('SVMANIFS');
  const epoch = fields.u32();
  demand(same(fields.bytes(16), indexId), 'a manifest of another index');
  demand(fields.u64() === generation, `manifest ${generation} is of another generation`);
  const slots = fields.u32();
  const length = fields.u32();
  fields.zeros(16);
  const whole = bytes.length === 64 + 24 + 32 + 24 + length + 16 + 64;
  demand(whole, `manifest ${generation} is not as long as it says`);
  return { epoch, slots };
}

/** Opens one manifest; what it says, and the keys that its key slots hold. */
function openManifest(objects, index, name, { indexKey, userId }, key) {
  const { indexId } = index;
  const bytes = objects.get(key);
  const generation = Number(key.slice(-16));
  const header = readHeader(bytes, indexId, generation);
  const keys = openSlots(objects, index, name, header.slots, indexKey, userId);
  const signed = verifySigned(bytes, publicKeyFrom(keys.writerPublic), `manifest ${generation}`);
  const salt = signed.subarray(64, 88);
  const dataKey = keys.epochs.get(header.epoch);
  demand(dataKey, `epoch ${header.epoch} has no key`);
  demand(header.epoch === Math.max(...keys.epochs.keys()), 'a manifest of an epoch that is over');
  const at = Buffer.alloc(8);
  at.writeBigUInt64LE(BigInt(generation));
  const bodyKey = committedKey(epochKeys(dataKey).manifest, 'manifest', indexId, at, salt);
  const matches = same(bodyKey.commitment, signed.subarray(88, 120));
  demand(matches, `manifest ${generation} is sealed under another key`);
  const sealed = signed.subarray(120);
  const body = readBody(unseal(bodyKey.key, signed.subarray(0, 64), sealed, 'a manifest'));
  demand(same(body.slotsHash, keys.hash), 'the key slots are not those that the manifest names');
  return { ...body, generation, keys, bodyKey: bodyKey.key, sealed, hash: blake2b256(bytes) };
}

/** All manifests of an index, oldest first; each must name the one before it, where that is. */
export function openManifests(objects, index, name, who) {
  const pattern = new RegExp(`^${index.folder}/manifest/\\d{16}$`);
  const keys = [...objects.keys()].filter((key) => pattern.test(key)).sort();
  demand(keys.length > 0, 'there is no manifest');
  const manifests = keys.map((key) => openManifest(objects, index, name, who, key));
  manifests.forEach((manifest, i) => {
    const before = manifests[i - 1];
    if (before?.generation !== manifest.generation - 1) return;
    const named = manifest.ancestors.at(-1);
    const chained = named.generation === before.generation && same(named.hash, before.hash) &&
      manifest.ancestors.slice(0, -1).every((one, at) =>
        same(one.hash, before.ancestors.slice(1 - manifest.ancestors.length)[at].hash));
    demand(chained, `manifest ${manifest.generation} does not follow the one before it`);
  });
  const [first] = manifests;
  const isFirst = first.ancestors.length === 0;
  demand(isFirst === (first.generation === 1), 'only the first manifest follows none');
  return manifests;
}
