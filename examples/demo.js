// `make demo`: SealVec's main job on real data. Fills an index on disk, searches it before and
// after training, checks the answers against brute force, and looks for plaintext in the files.
// KEEP=1 keeps the folder.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Client, generateKey } from '../dist/sealvec.js';
import { filesUnder, NeedleFinder } from './find-needles.js';
import { readNpy } from './read-npy.js';

const K = 10;
const BATCH = 10_000;

const data = (name) => new URL(`data/${name}`, import.meta.url);
const whole = (number) => Math.round(number).toLocaleString('en-US');
const inSeconds = (number) => `${number.toFixed(2)} s`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const line = (name, ...cells) => console.log(`  ${name.padEnd(15)}${cells.join('')}`);
const title = (text) => console.log(`\n${text}`);

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return [result, (performance.now() - start) / 1000];
}

async function printSize(folder, rows, note) {
  const files = await filesUnder(folder);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  const each = `${whole(bytes / rows)} bytes per vector`;
  line('on disk', `${megabytes(bytes)} in ${files.length} files, ${each}, ${note}`);
}

/** A bar on a terminal; elsewhere a line per phase. */
function progressBar() {
  let last = '';
  return ({ phase, fraction }) => {
    const percent = `${Math.floor(fraction * 100)} %`.padStart(5);
    if (process.stdout.isTTY) {
      const done = Math.round(fraction * 30);
      const bar = `${'█'.repeat(done)}${'░'.repeat(30 - done)}`;
      process.stdout.write(`\r  ${'training'.padEnd(15)}${bar} ${percent}  ${phase.padEnd(12)}`);
      if (fraction === 1) process.stdout.write(`\r${' '.repeat(72)}\r`);
    } else if (phase !== last) {
      line('training', percent, '  ', phase);
    }
    last = phase;
  };
}

/** Squared distance of a query to a row, by the plainest of loops. */
function squaredDistance(base, row, queries, query, dim) {
  let sum = 0;
  for (let i = 0; i < dim; i++) {
    const difference = base[row * dim + i] - queries[query * dim + i];
    sum += difference * difference;
  }
  return sum;
}

/** Per query, the distance of its K-th nearest row: whatever is no further is a right answer. */
function exactSearch({ data: base, shape: [rows, dim] }, { data: queries, shape: [count] }) {
  const distances = new Float64Array(rows);
  return Array.from({ length: count }, (_, q) => {
    for (let row = 0; row < rows; row++) {
      distances[row] = squaredDistance(base, row, queries, q, dim);
    }
    return distances.sort()[K - 1];
  });
}

/** Asks every query by itself, over and over for a second, and then looks at the answers. */
async function measure(index, base, queries, limits) {
  const dim = queries.shape[1];
  await index.query({ queryVectors: queries.data, topK: K });
  const answers = [];
  const start = performance.now();
  for (let asked = 0; asked < limits.length || performance.now() - start < 1000; asked++) {
    const q = asked % limits.length;
    const queryVectors = queries.data.subarray(q * dim, (q + 1) * dim);
    answers.push(await index.query({ queryVectors, topK: K }));
  }
  const seconds = (performance.now() - start) / 1000;
  const right = limits.map((limit, q) => answers[q].results.filter(({ id }) =>
    squaredDistance(base.data, Number(id.slice(-6)), queries.data, q, dim) <= limit).length);
  return {
    recall: right.reduce((sum, count) => sum + count) / limits.length / K,
    perSecond: answers.length / seconds,
    compared: answers.reduce((sum, { rowsScanned }) => sum + rowsScanned, 0) / answers.length,
  };
}

function printTable(rows) {
  const columns = (name, recall, perSecond, compared) =>
    line(name, recall.padStart(9), perSecond.padStart(13), compared.padStart(20));
  columns('', 'recall@10', 'queries/s', 'vectors compared');
  for (const [name, { recall, perSecond, compared }] of rows) {
    columns(name, recall.toFixed(4), whole(perSecond), whole(compared));
  }
}

async function images(client, folder, indexKey) {
  const base = await readNpy(data('image-descriptors-20k.npy.gz'));
  const queries = await readNpy(data('image-descriptors-queries.npy.gz'));
  const [rows, dim] = base.shape;
  title(`1. ${whole(rows)} image descriptors (SIFT), ${dim} numbers each, euclidean distance`);

  const index = await client.createIndex({ indexName: 'images', indexKey, metric: 'euclidean' });
  const nameOf = (row) => `descriptor-${String(row).padStart(6, '0')}`;
  const ids = Array.from({ length: rows }, (_, row) => nameOf(row));
  const [, seconds] = await timed(async () => {
    for (let from = 0; from < rows; from += BATCH) {
      const to = Math.min(from + BATCH, rows);
      const vectors = base.data.subarray(from * dim, to * dim);
      await index.upsert({ ids: ids.slice(from, to), vectors });
    }
  });
  const speed = `${whole(rows / seconds)} vectors/s`;
  line('upsert', inSeconds(seconds), `, ${speed}, encrypted and synced to disk`);
  await printSize(folder, rows, `${dim * 4} of them its numbers`);
  const [limits, spent] = await timed(() => exactSearch(base, queries));
  line('brute force', inSeconds(spent), `, in this script: the true ${K} nearest of each query`);
  const before = await measure(index, base, queries, limits);
  const trained = await index.train({ seed: 1, onProgress: progressBar() });
  const { nLists, iterations, workers } = trained;
  const how = `${nLists} lists, ${iterations} iterations, ${workers} workers`;
  line('train', inSeconds(trained.seconds), `, ${how}, to find 95 % of the exact answer`);
  await index.compact();
  await printSize(folder, rows, 'compacted\n');
  const after = await measure(index, base, queries, limits);
  printTable([['untrained', before], ['trained', after]]);
  await index.close();
  return { ids, base };
}

function printHits(results) {
  for (const { distance, metadata } of results) {
    console.log(`    ${distance.toFixed(3)}  ${metadata.title.slice(0, 80)}`);
  }
}

async function papers(client, indexKey) {
  const items = JSON.parse(gunzipSync(await readFile(data('arxiv-1k.json.gz'))));
  const { data: vectors, shape: [count, dim] } = await readNpy(data('arxiv-1k.npy.gz'));
  title(`2. ${whole(count)} abstracts of papers (arXiv), ${dim} numbers each, cosine distance`);

  const index = await client.createIndex({ indexName: 'papers', indexKey, metric: 'cosine' });
  const [, seconds] = await timed(() => index.upsert({
    items: items.map(({ id, title, abstract }, i) => ({
      id, vector: vectors.subarray(i * dim, (i + 1) * dim), contents: abstract,
      metadata: { title, words: abstract.split(' ').length, federated: /federated/i.test(title) },
    })),
  }));
  line('upsert', inSeconds(seconds), ', title and length as metadata, abstract as contents\n');

  const wanted = 'On the Generalization Properties of Differential Privacy';
  const at = items.findIndex((item) => item.title === wanted);
  const queryVectors = vectors.subarray(at * dim, (at + 1) * dim);
  const like = { queryVectors, include: ['distance', 'metadata'] };
  console.log(`  Nearest to "${wanted}":`);
  printHits((await index.query({ ...like, topK: 5 })).results.slice(1));
  console.log('\n  The same with { federated: true, words: { $lt: 200 } } as filters:');
  const filters = { federated: true, words: { $lt: 200 } };
  printHits((await index.query({ ...like, topK: 3, filters })).results);
  await index.close();
  return { items, vectors };
}

async function reopen(folder, indexKey) {
  title('3. Closed and opened again');
  const client = new Client({ storage: folder });
  const index = await client.loadIndex({ indexName: 'papers', indexKey });
  const [paper] = await index.get({ ids: ['arxiv-0000'], include: ['metadata'] });
  line('right key', `${await index.count()} papers; arxiv-0000 is "${paper.metadata.title}"`);
  await client.loadIndex({ indexName: 'papers', indexKey: generateKey() }).then(
    () => { throw new Error('a wrong key opened the index'); },
    ({ code, message }) => line('wrong key', `${code}: ${message}`),
  );
  await client.close();
}

/** Sixteen bytes out of each vector, as float32, that no run of equal bytes could match. */
function* vectorNeedles(numbers, dim) {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  for (let row = 0; row * dim < numbers.length; row++) {
    for (let at = row * dim; at + 4 <= (row + 1) * dim; at += 4) {
      if (new Set(numbers.subarray(at, at + 4)).size < 4) continue;
      yield bytes.slice(at * 4, at * 4 + 16);
      break;
    }
  }
}

/** Pieces of everything that went in, each under the name of what it is. */
function plaintexts({ ids, base }, { items, vectors }) {
  const text = (value) => Buffer.from(value);
  return {
    ids: [...ids, ...items.map(({ id }) => id)].map(text),
    metadata: items.map(({ title }) => text(title)),
    contents: items.flatMap(({ abstract: all }) => [all.slice(0, 24), all.slice(-24)]).map(text),
    vectors: [...vectorNeedles(base.data, base.shape[1]), ...vectorNeedles(vectors, 384)],
  };
}

async function search(folder, parts) {
  const needles = Object.values(parts).flat();
  const finder = new NeedleFinder(needles);
  const files = await filesUnder(folder);
  for (const file of files) {
    finder.scan(Buffer.from(file));
    await finder.scanFile(file);
  }
  const counts = Object.entries(parts).map(([name, list]) => `${name} ${whole(list.length)}`);
  line('looked for', `${whole(needles.length)} pieces: ${counts.join(', ')}`);
  line('in', `${megabytes(finder.bytes)}: ${files.length} files and their names, at every offset`);
  line('found', whole(finder.found.size));
  if (finder.found.size > 0) throw new Error(`plaintext on disk: ${[...finder.found].slice(0, 3)}`);
  return { needles, files };
}

/** The same search where there is something to find. */
async function control(folder, { needles, files }) {
  const leaky = await readFile(files[0]);
  leaky.set(needles.at(-1), leaky.length >> 1);
  const file = join(folder, `control-${basename(files[0])}`);
  await writeFile(file, leaky);
  const finder = new NeedleFinder(needles);
  await finder.scanFile(file);
  await rm(file);
  line('control', `${finder.found.size}, in a copy of a file with 16 bytes of a vector put in`);
  if (finder.found.size !== 1) throw new Error('the search for plaintext does not work');
}

const folder = await mkdtemp(join(tmpdir(), 'sealvec-demo-'));
console.log(`SealVec on Node ${process.versions.node}, ${cpus().length} × ${cpus()[0].model}`);
console.log(`index in ${folder}`);
try {
  const indexKey = generateKey();
  const client = new Client({ storage: folder });
  const first = await images(client, folder, indexKey);
  const second = await papers(client, indexKey);
  await client.close();
  await reopen(folder, indexKey);
  title('4. Plaintext in the files (names of indexes are readable, what is in them must not be)');
  await control(folder, await search(folder, plaintexts(first, second)));
} finally {
  if (process.env.KEEP) console.log(`\nkept ${folder}`);
  else await rm(folder, { recursive: true });
}
