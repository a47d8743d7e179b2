// The lists as they lie to each other: passages as points, lists as rings.
import { $, svg } from './dom.js';
import { nameLists, readLists } from './lists.js';
import { meanOf, projection } from './pca.js';
import { attempt, counted, whole } from './words.js';

const WIDTH = 440;
const HEIGHT = 380;
const MARGIN = 34;
const FAR_SHARE = 0.01;
/** Radius of a ring per root of its list's share of all rows. */
const RADIUS = 60;
const GOLDEN_ANGLE = 137.508;

/** Stretches the plane of points to the drawing; the few farthest may fall outside it. */
function fit(points) {
  const ranges = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]).sort((a, b) => a - b);
    const few = Math.floor(values.length * FAR_SHARE);
    return [values[few], values.at(-1 - few)];
  });
  const scale = (value, [low, high], size) =>
    MARGIN + ((value - low) / (high - low || 1)) * (size - 2 * MARGIN);
  return ([x, y]) => [scale(x, ranges[0], WIDTH), scale(y, ranges[1], HEIGHT)];
}

const round = (x) => x.toFixed(1);

/** One list: its rows in one path of dots, and a ring as large as its share. */
function drawList({ places, centre, size, words }, number, total) {
  const hue = Math.round(number * GOLDEN_ANGLE) % 360;
  const stroke = `hsl(${hue} 60% 50%)`;
  const d = places.map(([x, y]) => `M${round(x)} ${round(y)}h0`).join('');
  const [cx, cy] = centre.map(round);
  const r = round(RADIUS * Math.sqrt(size / total));
  return svg('g', {},
    svg('title', {}, [counted(size, 'passage'), ...words].join(', ')),
    svg('path', { class: 'rows', d, stroke }),
    svg('circle', { class: 'ring', cx, cy, r, stroke }));
}

/** Names of the largest lists, as far as they do not cover each other. */
function drawNames(lists) {
  const boxes = [];
  const names = [];
  for (const { centre: [x, y], words: [word] } of lists) {
    if (!word) continue;
    const half = word.length * 3.6 + 4;
    const at = Math.min(Math.max(x, half), WIDTH - half);
    if (boxes.some((box) => Math.abs(box.at - at) < box.half + half && Math.abs(box.y - y) < 16)) {
      continue;
    }
    boxes.push({ at, y, half });
    names.push(svg('text', { class: 'name', x: round(at), y: round(y + 4) }, word));
  }
  return names;
}

function draw(lists) {
  const means = lists.map(({ rows }) => meanOf(rows.map(({ vector }) => vector)));
  const project = projection(means, lists.map(({ size }) => size));
  const points = lists.map(({ rows }) => rows.map(({ vector }) => project(vector)));
  const place = fit(points.flat());
  const names = nameLists(lists);
  const drawn = lists.map(({ size }, i) => ({
    size, words: names[i], places: points[i].map(place), centre: place(project(means[i])),
  }));
  const total = lists.reduce((sum, { size }) => sum + size, 0);
  const label = `${counted(lists.length, 'list')}, the largest about ` +
    names.slice(0, 5).map(([word]) => word).filter(Boolean).join(', ');
  return svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': label },
    ...drawn.map((list, i) => drawList(list, i, total)), ...drawNames(drawn));
}

const about = (rows, lists) => `${whole(rows)} passages as points in the colour of their list, ` +
  `seen along the two directions in which the ${counted(lists, 'list')} differ most; the other ` +
  'directions are not shown, so lists overlap here that do not in truth. A ring is as large as ' +
  'its list and bears the word most its own.';

export function mapPanel({ index }) {
  async function drawMap() {
    $('draw-map').disabled = true;
    $('map-text').textContent = 'Reading the lists…';
    await attempt(async () => {
      const lists = await readLists(index);
      $('map').replaceChildren(draw(lists));
      const rows = lists.reduce((sum, list) => sum + list.rows.length, 0);
      $('map-text').textContent = about(rows, lists.length);
    });
    $('draw-map').textContent = 'Draw it again';
    $('draw-map').disabled = false;
  }

  $('draw-map').addEventListener('click', drawMap);
  const refresh = async () => {
    const { nLists } = await index.stats();
    $('draw-map').hidden = nLists === 0;
    if (nLists === 0) $('map-text').textContent = 'Once the index is trained, its lists are drawn.';
    else if (!$('map').hasChildNodes()) {
      $('map-text').textContent = `${counted(nLists, 'list')}, to be drawn from a sample.`;
    }
  };
  return { refresh, draw: drawMap };
}
