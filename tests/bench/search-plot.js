// The plot that ann-benchmarks made known: recall across, queries per second up.
import { mkdir, writeFile } from 'node:fs/promises';
import { plot } from './plot.js';

const LEAST = 0.7;
const STEPS = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/** Searches that find more or answer faster than every other one, by recall. */
function front(searches) {
  const best = searches.filter(({ recall, perSecond }) => !searches.some((other) =>
    other.recall >= recall && other.perSecond > perSecond));
  return best.sort((x, y) => x.recall - y.recall);
}

/** An SVG of libraries as { name, searches }, each search with recall and perSecond. */
function searchPlot(title, libraries) {
  const lines = libraries.map(({ name, searches }) => ({
    name, points: front(searches).filter(({ recall }) => recall >= LEAST)
      .map(({ recall, perSecond }) => [recall, perSecond]),
  }));
  const rates = lines.flatMap(({ points }) => points.map(([, rate]) => rate));
  const low = Math.max(...STEPS.filter((step) => step <= Math.min(...rates)));
  const high = Math.min(...STEPS.filter((step) => step >= Math.max(...rates)));
  const ticks = STEPS.filter((step) => step >= low && step <= high)
    .map((step) => [step, step.toLocaleString('en-US')]);
  return plot([{
    title: `${title}: queries/s`, lines, corner: 'lower left',
    x: {
      name: 'recall@10', range: [LEAST, 1],
      ticks: [0.7, 0.8, 0.9, 0.95, 1].map((tick) => [tick, String(tick)]),
    },
    y: { name: 'queries/s', log: true, range: [low, high], ticks },
  }]);
}

/** Writes the plot of one set. */
export async function saveSearchPlot(set, libraries) {
  const folder = new URL('plots/', import.meta.url);
  await mkdir(folder, { recursive: true });
  await writeFile(new URL(`${set}.svg`, folder), searchPlot(set, libraries));
}
