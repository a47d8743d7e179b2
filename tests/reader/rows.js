// The sections of a segment, of tombstones and of centroids, as values (c/segment.c,
// js/tombstones.ts, js/centroids.ts).
import { checkCode, hasCodes, readCodes } from './codes.js';
import { Fields } from './fields.js';
import { demand, halfToNumber, sipHash } from './primitives.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The n byte strings of a blob section. */
function blobs(section, n, what) {
  const fields = new Fields(section, what);
  const offsets = fields.many(n + 1, () => fields.u32());
  demand(offsets[0] === 0, `${what} do not begin at 0`);
  const out = offsets.slice(1).map((end, i) => {
    demand(end >= offsets[i], `${what} go backwards`);
    return fields.bytes(end - offsets[i]);
  });
  fields.end();
  return out;
}

function vectors(section, { dimension, precision }, n) {
  const fields = new Fields(section, 'vectors');
  const read = precision === 'float16' ? () => halfToNumber(fields.u16()) : () => fields.f32();
  const rows = fields.many(n, () => fields.many(dimension, read));
  fields.end();
  return rows;
}

/**
 * The origin of the codes, if any; the runs in which rows come, of a list each; and the list of
 * each row, when those are lists of the index.
 */
function listsOf(section, { rows, listed }, { nLists, dimension }) {
  const fields = new Fields(section, 'the lists');
  const origin = fields.many(hasCodes(dimension) && rows > 0 ? dimension : 0, () => fields.f32());
  const runs = [];
  const lists = [];
  for (let before = -1; fields.at < section.length;) {
    const [list, count] = [fields.u32(), fields.u32()];
    demand(list > before && (!listed || list < nLists) && count > 0, 'a list out of order');
    before = list;
    runs.push(count);
    for (let i = 0; i < count; i++) lists.push(listed ? list : undefined);
  }
  if (listed || runs.length > 0) demand(lists.length === rows, 'the lists have not all rows');
  return { origin, runs: runs.length > 0 ? runs : [rows], lists };
}

/** That the table leads from the hash of each id to its row, ascending. */
function checkIdTable(section, ids, key) {
  const fields = new Fields(section, 'the id table');
  const hashes = ids.map((id) => sipHash(key, id));
  const order = hashes.map((hash, row) => ({ hash, row }))
    .sort((x, y) => (x.hash < y.hash ? -1 : x.hash > y.hash ? 1 : x.row - y.row));
  for (const { hash, row } of order) {
    const found = BigInt(fields.u32()) | (BigInt(fields.u32()) << 32n);
    demand(found === hash && fields.u32() === row, 'the id table leads elsewhere');
  }
  fields.end();
}

function contentsOf(blob) {
  if (blob.length === 0) return undefined;
  demand(blob[0] === 1 || blob[0] === 2, 'contents of an unknown kind');
  return blob[0] === 1 ? utf8.decode(blob.subarray(1)) : blob.slice(1);
}

/** The items of a segment's rows, dead ones too. */
export function readRows(sections, entry, config, idsKey) {
  const [listSection, codes, vectorSection, idSection, idTable, metadata, contents] = sections;
  const { rows } = entry;
  const ids = blobs(idSection, rows, 'ids');
  checkIdTable(idTable, ids, idsKey);
  const { origin, runs, lists } = listsOf(listSection, entry, config);
  const all = {
    lists, codes: readCodes(codes, origin, runs, config),
    vectors: vectors(vectorSection, config, rows),
    metadata: blobs(metadata, rows, 'metadata'), contents: blobs(contents, rows, 'contents'),
  };
  all.codes.forEach((code, row) => code && checkCode(code, all.vectors[row], config));
  return ids.map((id, row) => ({
    id: utf8.decode(id), vector: all.vectors[row], list: all.lists[row], code: all.codes[row],
    metadata: all.metadata[row].length ? JSON.parse(utf8.decode(all.metadata[row])) : undefined,
    contents: contentsOf(all.contents[row]),
  }));
}

/** The dead rows of a segment, by the manifest and the bitmap. */
export function deadRows(entry, bitmap) {
  const dead = new Set(entry.deadRows);
  for (let row = 0; bitmap && row < entry.rows; row++) {
    if (bitmap[row >> 3] & (1 << (row & 7))) dead.add(row);
  }
  demand(dead.size === entry.dead, `${dead.size} dead rows instead of ${entry.dead}`);
  demand([...dead].every((row) => row < entry.rows), 'a dead row that does not exist');
  return dead;
}

/** Centroids, and the points of the recall curve. */
export function readCentroids([rows, params], { nLists, dimension, metric }) {
  const fields = new Fields(rows, 'the centroids');
  const routed = metric === 'inner_product' ? dimension + 1 : dimension;
  const mean = fields.many(routed, () => fields.f32());
  const units = fields.many(nLists, () => fields.f32());
  const centroids = units.map((unit) => mean.map((x) => x + unit * fields.i16()));
  fields.end();
  const curve = new Fields(params, 'the recall curve');
  const maxNorm = curve.f32();
  const points = curve.many(curve.u32(), () => (
    { recall: curve.f32(), at10: curve.f32(), at100: curve.f32() }));
  curve.end();
  return { centroids, maxNorm, points };
}
