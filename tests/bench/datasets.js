// The data sets of the benchmark: vectors, queries and what the right answers are.
import fs from 'node:fs';
import { readNpy } from '../../examples/read-npy.js';

const SHARED = new URL('../../../shared/data/', import.meta.url);
const EXAMPLES = new URL('../../examples/data/', import.meta.url);
const K = 10;

/** Sets of the shared folder, those of a usual run first. */
const METRICS = {
  'sift-photo-100k': 'euclidean',
  'kowiki-w2v-100k': 'cosine',
  'mnist-784': 'euclidean',
  'sift-ngt-5k': 'euclidean',
  'deep96-2k': 'euclidean',
  'minilm-lucene-2k6': 'cosine',
  'glove100-lucene-2k6': 'cosine',
  'bge-m3-1k': 'cosine',
  'anime-mf-1k5': 'inner_product',
};
export const EXAMPLE = 'image-descriptors-20k';

/** Names of the sets to run: those of DATA, or the large ones, or what comes with the source. */
export function chooseSets(wanted) {
  if (wanted) return wanted.split(',');
  const large = Object.keys(METRICS).slice(0, 3);
  return large.every((name) => fs.existsSync(new URL(name, SHARED))) ? large : [EXAMPLE];
}

/** Where the parts of a set are: base and queries, and gt10 of those in the shared folder. */
export function fileOf(name, part) {
  if (name !== EXAMPLE) return new URL(`${name}/${part}.npy.gz`, SHARED);
  const file = part === 'base' ? 'image-descriptors-20k' : 'image-descriptors-queries';
  return new URL(`${file}.npy.gz`, EXAMPLES);
}

export async function loadSet(name) {
  const example = name === EXAMPLE;
  if (!example && !Object.hasOwn(METRICS, name)) {
    throw new Error(`DATA: expected ${[...Object.keys(METRICS), EXAMPLE].join(', ')}, got ${name}`);
  }
  const parts = example ? ['base', 'queries'] : ['base', 'queries', 'gt10'];
  const [base, queries, truth] =
    await Promise.all(parts.map((part) => readNpy(fileOf(name, part))));
  const metric = example ? 'euclidean' : METRICS[name];
  return withJudge({ name, metric, base, queries, truth });
}

/** The distance that orders neighbours, in double precision. */
export function distanceOf(metric, base, row, queries, query, dim) {
  const [b, q] = [row * dim, query * dim];
  let [dot, bb, qq, l2] = [0, 0, 0, 0];
  for (let i = 0; i < dim; i++) {
    const [x, y] = [base[b + i], queries[q + i]];
    dot += x * y;
    bb += x * x;
    qq += y * y;
    l2 += (x - y) * (x - y);
  }
  if (metric === 'euclidean') return l2;
  return metric === 'cosine' ? 1 - dot / Math.sqrt(bb * qq) : -dot;
}

/** Rows of the set one by one. */
export const rowOf = ({ data, shape: [, dim] }, row) => data.subarray(row * dim, (row + 1) * dim);

/**
 * Adds `recall(answers)`: the share of the 10 nearest found, answers being row numbers per query.
 * A row counts when it is no further than the tenth of the truth, so ties cost nobody anything.
 */
function withJudge(set) {
  const { metric, base, queries, truth } = set;
  const [rows, dim] = base.shape;
  const count = queries.shape[0];
  const distance = (row, query) => distanceOf(metric, base.data, row, queries.data, query, dim);
  const tenth = (query) => {
    if (truth) return distance(truth.data[query * K + K - 1], query);
    return Float64Array.from({ length: rows }, (_, row) => distance(row, query)).sort()[K - 1];
  };
  const limits = Float64Array.from({ length: count }, (_, query) => tenth(query));
  const recall = (answers) => {
    let right = 0;
    answers.forEach((found, query) => {
      const limit = limits[query] + 1e-6 * Math.abs(limits[query]);
      for (const row of new Set(found)) if (distance(row, query) <= limit) right++;
    });
    return right / answers.length / K;
  };
  return { ...set, rows, dim, count, recall };
}
