// `make growth-plot`: how the time of training and the quantisation error grow with the number of
// vectors n, with nLists in proportion to sqrt(n). Prints both and the exponent of the time, and
// writes plots/growth.svg. Each training is in a process of its own; rounds go through all sizes.
//
//   DATA=name   a set of ../shared/data (default sift-photo-100k), which must be the largest n
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { generateKey } from '../../dist/sealvec.js';
import { chooseSets, loadSet } from './datasets.js';
import { inProcess, median, printMachine } from './measure.js';
import { plot } from './plot.js';

const ROUNDS = 5;
const SHARES = [1 / 8, 1 / 4, 1 / 2, 1];
const LISTS = 512;
const FOLDER = fileURLToPath(new URL('../../build/bench/growth', import.meta.url));
const PICTURE = new URL('plots/growth.svg', import.meta.url);

/** The exponent b of y = a x^b that fits best on logarithmic scales. */
function exponent(points) {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)]);
  const mean = (at) => logs.reduce((sum, pair) => sum + pair[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const over = logs.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0);
  return over / logs.reduce((sum, [a]) => sum + (a - x) ** 2, 0);
}

async function measure(set, sizes) {
  const runs = sizes.map(() => []);
  const key = Buffer.from(generateKey()).toString('hex');
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { rows, nLists }] of sizes.entries()) {
      await rm(FOLDER, { recursive: true, force: true });
      const given = { set, key, folder: FOLDER, seed: 1 + round, rows, nLists };
      runs[i].push(await inProcess('build', given));
    }
  }
  await rm(FOLDER, { recursive: true, force: true });
  return sizes.map((size, i) => ({
    ...size, seconds: median(runs[i].map(({ trained }) => trained)),
    error: median(runs[i].map(({ quantizationError }) => quantizationError)),
  }));
}

/** Round numbers around what an axis shows, two of them at least. */
function axis(name, values, steps) {
  const low = Math.max(...steps.filter((step) => step <= Math.min(...values)));
  const high = Math.min(...steps.filter((step) => step >= Math.max(...values)));
  const ticks = steps.filter((step) => step >= low && step <= high)
    .map((step) => [step, step.toLocaleString('en-US')]);
  return { name, log: true, range: [low, high], ticks };
}

function draw(title, found) {
  const x = {
    name: 'vectors', log: true, range: [found[0].rows / 1.15, found.at(-1).rows * 1.15],
    ticks: found.map(({ rows }) => [rows, rows.toLocaleString('en-US')]),
  };
  const seconds = found.map((one) => one.seconds);
  const steps = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50];
  const limit = found.map(({ rows }) => [rows, seconds[0] * (rows / found[0].rows) ** 1.25]);
  const errors = found.map(({ error }) => error / found[0].error);
  return plot([
    {
      title: `${title}: seconds of train`, x, corner: 'left',
      y: axis('s', [...seconds, limit.at(-1)[1]], steps),
      lines: [
        { name: 'measured', points: found.map(({ rows }, i) => [rows, seconds[i]]) },
        { name: 'n^1.25', points: limit, dashed: true },
      ],
    },
    {
      title: 'mean squared error, over the first', x, corner: 'right',
      y: {
        name: '', range: [Math.min(0.7, ...errors), 1],
        ticks: [0.7, 0.8, 0.9, 1].map((tick) => [tick, tick.toFixed(1)]),
      },
      lines: [{ name: 'measured', points: found.map(({ rows }, i) => [rows, errors[i]]) }],
    },
  ]);
}

printMachine();
const [name] = chooseSets(process.env.DATA);
const { rows: all } = await loadSet(name);
const sizes = SHARES.map((share) => ({
  rows: Math.floor(all * share), nLists: Math.round(LISTS * Math.sqrt(share)),
}));
await mkdir(new URL('plots/', import.meta.url), { recursive: true });
const found = await measure(name, sizes);
for (const { rows, nLists, seconds, error } of found) {
  const figures = [`${nLists} lists`, `${seconds.toFixed(3)} s`, `error ${error.toPrecision(6)}`];
  console.log(`  ${rows.toLocaleString('en-US').padStart(9)} vectors: ${figures.join(', ')}`);
}
const grows = exponent(found.map(({ rows, seconds }) => [rows, seconds]));
console.log(`  time grows as n^${grows.toFixed(2)} (median of ${ROUNDS} rounds)`);
await writeFile(PICTURE, draw(name, found));
