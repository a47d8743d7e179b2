// Recall against speed, drawn and as a table.
import { $, h, svg } from './dom.js';
import { measure } from './measure.js';
import { attempt, percent, whole } from './words.js';

const WIDTH = 440;
const HEIGHT = 260;
const LEFT = 54;
const RIGHT = WIDTH - 14;
const TOP = 28;
const BOTTOM = HEIGHT - 40;
/** Labels nearer than this to one before are left to the table. */
const APART = 26;

/** A round step that cuts [0, most] in at most five. */
function stepOf(most) {
  const unit = 10 ** Math.floor(Math.log10(most / 4));
  return [1, 2, 2.5, 5, 10].map((times) => times * unit).find((step) => most / step <= 5);
}

function scales(points) {
  const low = Math.min(0.9, Math.floor(Math.min(...points.map((p) => p.recall)) * 10) / 10);
  const fastest = Math.max(...points.map((p) => p.perSecond));
  const step = stepOf(fastest);
  const most = Math.ceil(fastest / step) * step;
  return {
    low, step, most,
    x: (recall) => LEFT + ((recall - low) / (1 - low)) * (RIGHT - LEFT),
    y: (perSecond) => BOTTOM - (perSecond / most) * (BOTTOM - TOP),
  };
}

function axes({ low, step, most, x, y }) {
  const parts = [];
  const text = (at, words, anchor) => svg('text', { ...at, 'text-anchor': anchor }, words);
  for (let value = 0; value <= most; value += step) {
    const at = y(value);
    parts.push(svg('line', { class: 'axis', x1: LEFT, x2: RIGHT, y1: at, y2: at }));
    parts.push(text({ x: LEFT - 8, y: at + 4 }, whole(value), 'end'));
  }
  const ticks = Math.round((1 - low) * 10);
  const parted = ticks > 1 ? ticks : 5;
  for (let i = 0; i <= parted; i++) {
    const value = low + ((1 - low) * i) / parted;
    parts.push(text({ x: x(value), y: BOTTOM + 18 }, value.toFixed(ticks > 1 ? 1 : 2), 'middle'));
  }
  const across = 'share of the true 10 nearest that is found';
  parts.push(text({ x: RIGHT, y: HEIGHT - 4 }, across, 'end'));
  parts.push(text({ x: 0, y: 11 }, 'queries per second', 'start'));
  return parts;
}

function drawPoints(points, { x, y }) {
  const parts = [];
  const labelled = [];
  for (const { name, recall, perSecond } of points.toReversed()) {
    const [cx, cy] = [x(recall), y(perSecond)];
    parts.push(svg('circle', { class: name === 'exact' ? 'exact' : 'point', cx, cy, r: 5.5 }));
    if (labelled.some(([px, py]) => Math.hypot(px - cx, (py - cy) * 1.6) < APART)) continue;
    labelled.push([cx, cy]);
    const nearEdge = cx > RIGHT - 24;
    const at = nearEdge ? { x: cx + 8, y: cy + 21 } : { x: cx + 9, y: cy - 7 };
    parts.push(svg('text', { ...at, 'text-anchor': nearEdge ? 'end' : 'start' }, name));
  }
  return parts;
}

function chart(points) {
  const scale = scales(points);
  const label = `Speed falls as recall rises: ${points.map(({ name, recall, perSecond }) =>
    `${name}: recall ${recall.toFixed(2)} at ${whole(perSecond)} queries a second`).join('; ')}`;
  const path = points.map(({ recall, perSecond }, i) =>
    `${i === 0 ? 'M' : 'L'}${scale.x(recall)} ${scale.y(perSecond)}`).join('');
  return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label },
    ...axes(scale), svg('path', { class: 'curve', d: path }), ...drawPoints(points, scale));
}

function table(points, count) {
  const heads = ['targetRecall', 'recall', 'queries/s', 'compared'];
  return h('table', {},
    h('thead', {}, h('tr', {}, ...heads.map((head) => h('th', { scope: 'col' }, head)))),
    h('tbody', {}, ...points.map(({ name, recall, perSecond, compared }) => h('tr', {},
      h('th', { scope: 'row' }, name),
      ...[recall.toFixed(3), whole(perSecond), percent(compared / count)]
        .map((text) => h('td', {}, text))))));
}

const ABOUT = 'Passages of your own are asked for their 10 nearest others: exactly, and at each ' +
  'targetRecall.';

export function plotPanel({ index }) {
  async function draw() {
    $('measure').disabled = true;
    const onProgress = (share) => { $('plot-text').textContent = `Measuring: ${percent(share)}`; };
    onProgress(0);
    await attempt(async () => {
      const points = await measure(index, onProgress);
      $('plot').replaceChildren(chart(points), table(points, await index.count()));
    });
    $('plot-text').textContent = ABOUT;
    $('measure').textContent = 'Measure again';
    $('measure').disabled = false;
  }

  $('measure').addEventListener('click', draw);
  const refresh = async () => {
    const { nLists } = await index.stats();
    $('measure').hidden = nLists === 0;
    $('plot-text').textContent =
      nLists === 0 ? 'Once the index is trained, this is measured on your own passages.' : ABOUT;
  };
  return { refresh, draw };
}
