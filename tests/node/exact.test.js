// Search without lists, and with all of them, is brute force: on every set of ../shared/data, or of
// examples/data where that is not there, against distances computed here in float64.
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { readNpy } from '../../examples/read-npy.js';

const SHARED = new URL('../../../shared/data/', import.meta.url);
const EXAMPLES = new URL('../../examples/data/', import.meta.url);
const METRICS = ['euclidean', 'squared_euclidean', 'cosine', 'inner_product'];
const TOP = 10;
/** Rows from which brute force in JavaScript is slow. */
const LARGE = 10_000;
/** Relative rounding error of a sum in float64, generously. */
const ROUNDING = 1e-12;

/** The sets: a name, where base rows and queries are. */
function sets() {
  if (!existsSync(SHARED)) {
    const at = (name) => new URL(`${name}.npy.gz`, EXAMPLES);
    return ['image-descriptors-20k', 'arxiv-1k'].map((name) => ({
      name: `${name} of examples/data, as ../shared/data is not here`,
      base: at(name), queries: name === 'arxiv-1k' ? undefined : at('image-descriptors-queries'),
    }));
  }
  const folders = readdirSync(SHARED, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return folders.map(({ name }) => {
    const at = (file) => new URL(`${name}/${file}.npy.gz`, SHARED);
    const whole = existsSync(at('base'));
    return { name, base: at(whole ? 'base' : 'vectors'), queries: whole ? at('queries') : undefined };
  });
}

/** Base rows and some queries; without queries of its own, the first rows are asked for. */
async function load({ base: file, queries }) {
  const { shape: [count, dimension], data } = await readNpy(file);
  const asked = queries ? (await readNpy(queries)).data : data;
  const most = Math.min(count >= LARGE ? 20 : 100, asked.length / dimension);
  return { count, dimension, base: data, queries: asked.slice(0, most * dimension), asked: most };
}

/** Distances of one query to all rows, by metric, in float64. */
function bruteForce({ base, count, dimension }, query) {
  const distances = Object.fromEntries(METRICS.map((metric) => [metric, new Float64Array(count)]));
  let length = 0;
  for (let t = 0; t < dimension; t++) length += query[t] * query[t];
  for (let i = 0, at = 0; i < count; i++) {
    let [dot, own, apart] = [0, 0, 0];
    for (let t = 0; t < dimension; t++, at++) {
      const [x, y] = [base[at], query[t]];
      dot += x * y;
      own += x * x;
      apart += (x - y) * (x - y);
    }
    distances.squared_euclidean[i] = apart;
    distances.euclidean[i] = Math.sqrt(apart);
    distances.inner_product[i] = -dot;
    distances.cosine[i] = 1 - dot / Math.sqrt(own * length);
  }
  return distances;
}

/** That items are the nearest rows in order: at equal distances any of those at that distance. */
function assertBruteForce(items, distances, scale, what) {
  const slack = (distance) => ROUNDING * Math.max(Math.abs(distance), scale);
  const nearest = Float64Array.from(distances).sort();
  assert.equal(items.length, Math.min(TOP, distances.length), what);
  assert.equal(new Set(items.map(({ id }) => id)).size, items.length, `${what}: an id comes twice`);
  items.forEach(({ id, distance }, rank) => {
    const own = distances[Number(id)];
    assert.ok(Math.abs(distance - own) <= slack(own), `${what}, row ${id}: ${distance}, not ${own}`);
    const best = nearest[rank];
    assert.ok(Math.abs(own - best) <= slack(best), `${what}, rank ${rank}: ${own}, not ${best}`);
  });
}

async function fill(client, { base, count, dimension }, metric) {
  const indexKey = generateKey();
  const index = await client.createIndex({ indexName: metric, indexKey, dimension, metric });
  for (let from = 0; from < count; from += LARGE) {
    const to = Math.min(from + LARGE, count);
    const ids = Array.from({ length: to - from }, (_, i) => String(from + i));
    await index.upsert({ ids, vectors: base.subarray(from * dimension, to * dimension) });
  }
  return index;
}

/** The largest product of lengths, by which the error of a dot product is measured. */
function scaleOf(metric, { base, queries, dimension }) {
  if (metric !== 'inner_product') return metric === 'cosine' ? 1 : 0;
  const longest = (rows) => {
    let most = 0;
    for (let at = 0; at < rows.length; at += dimension) {
      most = Math.max(most, Math.hypot(...rows.subarray(at, at + dimension)));
    }
    return most;
  };
  return longest(base) * longest(queries);
}

for (const set of sets()) {
  test(`an exhaustive search is brute force by all metrics: ${set.name}`, async (context) => {
    const rows = await load(set);
    const { queries, asked, dimension, count } = rows;
    const query = (q) => queries.subarray(q * dimension, (q + 1) * dimension);
    const truth = Array.from({ length: asked }, (_, q) => bruteForce(rows, query(q)));
    const logger = { warn: () => undefined };
    for (const metric of METRICS) {
      const client = new Client({ storage: memoryStorage(), minTrainVectors: 100, logger });
      const index = await fill(client, rows, metric);
      const untrained = await index.query({ queryVectors: queries, topK: TOP });
      assert.deepEqual([untrained.exact, untrained.rowsScanned], [true, asked * count]);
      const scale = scaleOf(metric, rows);
      untrained.results.forEach((items, q) =>
        assertBruteForce(items, truth[q][metric], scale, `${metric}, query ${q}`));
      const { nLists } = await index.train({ maxIters: 2, seed: 1 });
      for (const nProbes of [nLists, nLists + 1, 2 ** 31]) {
        const trained = await index.query({ queryVectors: queries, topK: TOP, nProbes });
        assert.deepEqual(trained, untrained, `${metric}, ${nProbes} of ${nLists} lists`);
      }
      await client.close();
    }
    context.diagnostic(`${count} x ${dimension}, ${asked} queries`);
  });
}
