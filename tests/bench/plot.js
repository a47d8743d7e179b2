// Line plots as SVG: panels side by side, with axes that are linear or logarithmic.
const [WIDTH, HEIGHT] = [360, 250];
const EDGE = { left: 58, right: 14, top: 34, bottom: 46 };
const COLORS = ['#2f6fdf', '#d9662b', '#2a9d68', '#9a4fd0', '#8a7a2f', '#c23b62'];
// Readable on white as on black.
const INK = '#808890';

const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const scaleOf = ({ log }) => (log ? Math.log10 : (x) => x);

/** Where a value of an axis lies between `from` and `to`. */
function placer(axis, from, to) {
  const scale = scaleOf(axis);
  const [low, high] = axis.range.map(scale);
  return (value) => from + (to - from) * (scale(value) - low) / (high - low);
}

const label = (x, y, text, more = '') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escaped(text)}</text>`;
const rule = (x1, y1, x2, y2) =>
  `<path d="M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}" stroke="${INK}" ` +
  'stroke-opacity=".3"/>';

function grid({ x, y }, left, atX, atY) {
  const [right, bottom] = [left + WIDTH - EDGE.right, HEIGHT - EDGE.bottom];
  return [
    ...x.ticks.flatMap(([value, text]) => [
      rule(atX(value), EDGE.top, atX(value), bottom),
      label(atX(value), bottom + 16, text, 'text-anchor="middle"'),
    ]),
    ...y.ticks.flatMap(([value, text]) => [
      rule(left + EDGE.left, atY(value), right, atY(value)),
      label(left + EDGE.left - 6, atY(value) + 4, text, 'text-anchor="end"'),
    ]),
    label((left + EDGE.left + right) / 2, HEIGHT - 10, x.name, 'text-anchor="middle"'),
  ];
}

function line({ points, dashed }, color, atX, atY) {
  const places = points.map(([x, y]) => [atX(x).toFixed(1), atY(y).toFixed(1)]);
  const dash = dashed ? ' stroke-dasharray="4 4"' : '';
  return [
    `<path d="M${places.map((place) => place.join(' ')).join('L')}" fill="none" ` +
      `stroke="${color}" stroke-width="2"${dash}/>`,
    ...(dashed ? [] : places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="3" fill="${color}"/>`)),
  ];
}

/** The names of the lines, one under the other, in a corner of the panel. */
function legend(lines, left, { corner = 'left' }) {
  const atLeft = corner.includes('left');
  const x = atLeft ? left + EDGE.left + 8 : left + WIDTH - EDGE.right - 8;
  const top = corner.includes('lower') ? HEIGHT - EDGE.bottom - 8 - 15 * (lines.length - 1)
    : EDGE.top + 16;
  return lines.map(({ name }, i) => label(
    x, top + 15 * i, name,
    `fill="${COLORS[i % COLORS.length]}" text-anchor="${atLeft ? 'start' : 'end'}"`,
  ));
}

/**
 * An SVG of panels: { title, x, y, lines, corner }. An axis has a name, a range, ticks as pairs of
 * value and text, and may be `log`; a line has a name, points, and may be `dashed`; a corner is
 * 'left', 'right', 'lower left' or 'lower right'.
 */
export function plot(panels) {
  const parts = panels.flatMap((panel, i) => {
    const left = i * WIDTH;
    const atX = placer(panel.x, left + EDGE.left, left + WIDTH - EDGE.right);
    const atY = placer(panel.y, HEIGHT - EDGE.bottom, EDGE.top);
    return [
      label(left + EDGE.left, 18, panel.title, 'font-weight="600"'),
      ...grid(panel, left, atX, atY),
      ...panel.lines.flatMap((one, at) => line(one, COLORS[at % COLORS.length], atX, atY)),
      ...legend(panel.lines, left, panel),
    ];
  });
  const [width, height] = [panels.length * WIDTH, HEIGHT];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" ` +
    `width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="12" ` +
    `fill="${INK}">\n${parts.join('\n')}\n</svg>\n`;
}
