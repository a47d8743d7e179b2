// What people use today, measured the same way: installed by PEERS=1 in build/peers, never a
// dependency. Three are HNSW graphs in memory, without encryption or durable writes; sqlite-vec
// compares a query with all rows, and runs in Debian's Python, as Node 20 has no SQLite.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { fileOf, loadSet, rowOf } from './datasets.js';
import { askAll, median, peakMemory, seconds } from './measure.js';

const FOLDER = fileURLToPath(new URL('../../build/peers/', import.meta.url));
const VERSIONS = {
  'hnswlib-node': '3.0.0', usearch: '2.26.2', edgevec: '0.9.0', 'sqlite-vec': '0.1.6',
};
/** Peers that know no lists or graphs. */
const EXACT = new Set(['sqlite-vec']);
const PYTHON = '/usr/bin/python3';
const SQLITE_VEC = fileURLToPath(new URL('sqlite_vec.py', import.meta.url));
/** Queries that sqlite-vec is asked, at some 10 ms each. */
const SQLITE_QUERIES = 100;
const K = 10;
const [M, EF_CONSTRUCTION, SEED] = [16, 128, 42];
/** Recall at which rates are compared, and rounds of that, in turn. */
export const RECALL = 0.95;
const IN_TURN = 9;
const LADDER = [10, 16, 32, 64, 128, 256, 512];
export const SETTINGS = `M ${M}, efConstruction ${EF_CONSTRUCTION}, one thread`;

const peerUrl = (path) => pathToFileURL(`${FOLDER}node_modules/${path}`);
const need = (name) => createRequire(`${FOLDER}package.json`)(name);
const spaceOf = (metric, names) => names[['euclidean', 'cosine', 'inner_product'].indexOf(metric)];

/** Installs those asked for, each by itself: one without a compiler keeps no other out. */
export function installPeers(asked, log) {
  const wanted = asked === '1' ? Object.keys(VERSIONS) : asked.split(',');
  const unknown = wanted.find((name) => !Object.hasOwn(VERSIONS, name));
  if (unknown) {
    throw new Error(`PEERS: expected ${Object.keys(VERSIONS).join(', ')}, got ${unknown}`);
  }
  fs.mkdirSync(FOLDER, { recursive: true });
  if (!fs.existsSync(`${FOLDER}package.json`)) fs.writeFileSync(`${FOLDER}package.json`, '{}');
  return wanted.map((name) => [name, VERSIONS[name]]).filter(([name, version]) => {
    try {
      const args = ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', FOLDER];
      if (!isInstalled(name, version)) {
        execFileSync('npm', [...args, '--save-exact', `${name}@${version}`], { stdio: 'pipe' });
      }
      return true;
    } catch (error) {
      const reason = String(error.stderr || error.message).split('\n').filter(Boolean).slice(-1);
      log(`${name} ${version} cannot be installed here: ${reason}`);
      return false;
    }
  }).map(([name, version]) => ({ name, version, exact: EXACT.has(name) }));
}

function isInstalled(name, version) {
  const file = peerUrl(`${name}/package.json`);
  return fs.existsSync(file) && JSON.parse(fs.readFileSync(file, 'utf8')).version === version;
}

/** Each fills an index and gives back `at(ef)`, a search whose answer is row numbers. */
const BUILD = {
  async 'hnswlib-node'({ base, rows, dim, metric, queries }) {
    const { HierarchicalNSW } = need('hnswlib-node');
    const index = new HierarchicalNSW(spaceOf(metric, ['l2', 'cosine', 'ip']), dim);
    index.initIndex(rows, M, EF_CONSTRUCTION, SEED);
    // It takes plain arrays; making them is not counted.
    let took = 0;
    for (let row = 0; row < rows; row++) {
      const vector = Array.from(rowOf(base, row));
      const start = performance.now();
      index.addPoint(vector, row);
      took += performance.now() - start;
    }
    const asked = Array.from({ length: queries.shape[0] }, (_, q) => Array.from(rowOf(queries, q)));
    const at = (ef) => {
      index.setEf(ef);
      return (q) => index.searchKnn(asked[q], K).neighbors;
    };
    const save = (file) => index.writeIndexSync(file);
    return { built: took / 1000, at, save, ladder: LADDER };
  },

  async usearch({ base, rows, dim, metric, queries }) {
    const { Index } = need('usearch');
    const create = (ef) => new Index({
      dimensions: dim, metric: spaceOf(metric, ['l2sq', 'cos', 'ip']), quantization: 'f32',
      connectivity: M, expansion_add: EF_CONSTRUCTION, expansion_search: ef,
    });
    const index = create(64);
    const keys = BigUint64Array.from({ length: rows }, (_, row) => BigInt(row));
    const [built] = await seconds(() => index.add(keys, base.data, 1));
    const file = `${FOLDER}usearch-${process.pid}.bin`;
    index.save(file);
    // How far to search is fixed when an index is made, so there is a copy for each.
    const at = (ef) => {
      const copy = create(ef);
      copy.load(file);
      return (q) => Array.from(copy.search(rowOf(queries, q), K, 1).keys, Number);
    };
    const save = (to) => fs.renameSync(file, to);
    return { built, at, save, ladder: LADDER };
  },

  async edgevec({ base, rows, dim, metric, queries }) {
    const lib = await import(peerUrl('edgevec/edgevec.js'));
    const bytes = fs.readFileSync(peerUrl('edgevec/edgevec_bg.wasm'));
    await lib.default({ module_or_path: bytes });
    const config = new lib.EdgeVecConfig(dim);
    Object.assign(config, { metric: spaceOf(metric, ['l2', 'cosine', 'dot']), m: M, m0: 2 * M });
    Object.assign(config, { ef_construction: EF_CONSTRUCTION, ef_search: 64 });
    const index = new lib.EdgeVec(config);
    const [built, ids] = await seconds(() => index.insertBatchFlat(base.data, rows));
    const rowById = new Map(Array.from(ids, (id, row) => [id, row]));
    // How far to search is fixed too, but never less than the number of answers asked for.
    const at = (ef) => (q) => {
      const found = index.search(rowOf(queries, q), ef > 64 ? ef : K);
      return found.slice(0, K).map(({ id }) => rowById.get(id));
    };
    return { built, at, ladder: [64, 128, 256] };
  },
};

/** Exact search by sqlite-vec: seconds to insert the rows, queries per second, recall. */
function runSqliteVec({ name, metric, recall }) {
  const [base, queries] = ['base', 'queries'].map((part) => fileURLToPath(fileOf(name, part)));
  const extension = createRequire(`${FOLDER}package.json`)('sqlite-vec').getLoadablePath();
  const given = { base, queries, metric: spaceOf(metric, ['l2', 'cosine']), extension };
  const options = JSON.stringify({ ...given, count: SQLITE_QUERIES });
  const { answers, ...figures } = JSON.parse(
    execFileSync(PYTHON, [SQLITE_VEC, options], { encoding: 'utf8' }),
  );
  return { ...figures, recall: recall(answers) };
}

/** The fastest of searches that finds enough, if one does. */
export function fastest(searches) {
  return searches.filter(({ recall }) => recall >= RECALL)
    .reduce((best, one) => (best && best.perSecond > one.perSecond ? best : one), undefined);
}

/** Our queries per second over another's, where `first` and `second` give those of one pass. */
async function rateInTurn(first, second) {
  const ratios = [];
  for (let round = 0; round < IN_TURN; round++) ratios.push((await first()) / (await second()));
  return median(ratios);
}

/**
 * Runs one peer on one set, in this process. `openOwn` opens SealVec's index of the same rows
 * beside it, if there is one to compare with: a function that takes one pass of its queries and
 * gives queries per second.
 */
export async function peerJob({ name, set, count, own }, openOwn) {
  const data = await loadSet(set);
  if (EXACT.has(name)) {
    const ask = own && await openOwn({ set, count: SQLITE_QUERIES, ...own });
    const before = await ask?.();
    const found = runSqliteVec(data);
    return { ...found, ratio: own && (before + (await ask())) / 2 / found.perSecond };
  }
  const { built, at, save, ladder } = await BUILD[name](data);
  const asked = Math.min(count ?? data.count, data.count);
  const searches = [];
  for (const ef of ladder) {
    const { answers, perSecond } = await askAll(asked, at(ef));
    searches.push({ ef, recall: data.recall(answers), perSecond });
  }
  const peak = peakMemory();
  const best = fastest(searches);
  const ratio = own && best && await rateInTurn(
    await openOwn({ set, count: asked, ...own }),
    async () => (await askAll(asked, at(best.ef), { passes: 1, least: 0 })).perSecond,
  );
  const file = `${FOLDER}${name}-${process.pid}.saved`;
  save?.(file);
  const bytes = save && fs.statSync(file).size;
  fs.rmSync(file, { force: true });
  return { built, searches, bytes, peak, ratio };
}
