// Whether targetRecall is kept, and what it costs: `make recall`, with seeds="1 2 3" for more.
import { existsSync } from 'node:fs';
import { readNpy } from '../../examples/read-npy.js';
import { broken, measureRecall } from './measure-recall.js';

const SETS = [
  ['sift-photo-100k', 'squared_euclidean'],
  ['kowiki-w2v-100k', 'cosine'],
  ['mnist-784', 'squared_euclidean'],
];
const DATA = new URL('../../../shared/data/', import.meta.url);
const seeds = process.argv.slice(2).map(Number);
if (seeds.length === 0) seeds.push(1);
const only = process.env.SETS?.split(',');

const text = (value, digits, width) => value.toFixed(digits).padStart(width);

function print(name, seed, line) {
  // What is promised is promised for ten neighbours; the rest is for information.
  const fault = line.topK === 10 ? broken(line) : undefined;
  console.log(
    name.padEnd(16), String(seed).padStart(4), String(line.topK).padStart(4), line.who.padEnd(8),
    text(line.target, 2, 6), text(line.recall, 4, 7), text(line.rows, 0, 8),
    String(line.best.nProbes).padStart(7), text(line.best.recall, 4, 7),
    text(line.best.rows, 0, 8), text(line.ratio, 2, 6), fault ? `  BROKEN: ${fault}` : '',
  );
  if (fault) process.exitCode = 1;
}

console.log('set              seed topK asked by target  recall     rows  nProbes recall     rows  ratio');
for (const [name, metric] of SETS) {
  if (only && !only.includes(name)) continue;
  const read = (file) => readNpy(new URL(`${name}/${file}.npy.gz`, DATA));
  if (!existsSync(new URL(`${name}/base.npy.gz`, DATA))) {
    console.log(`${name.padEnd(16)} is not in ../shared/data`);
    process.exitCode = 1;
    continue;
  }
  const set = { metric, base: await read('base'), queries: await read('queries') };
  for (const seed of seeds) {
    const options = { seed, heldOut: 1000, topKs: [1, 10, 100], targets: [0.9, 0.95, 0.99] };
    const { lines } = await measureRecall(set, options);
    for (const line of lines) print(name, seed, line);
  }
}
