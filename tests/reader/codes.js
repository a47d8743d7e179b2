// The codes of rows and what they say of distances (c/codes.c), in numbers of 64 bits.
import { Fields } from './fields.js';
import { demand } from './primitives.js';

const GROUP = 32;
const LEAST_ROWS = 32;
const BLOCK_BYTES = 65_536;

const whole = (n, of) => Math.ceil(n / of) * of;
const dot = (x, y) => x.reduce((sum, a, t) => sum + a * y[t], 0);
const length = (x) => Math.sqrt(dot(x, x));
const minus = (x, y) => x.map((a, t) => a - y[t]);
const plus = (x, y) => x.map((a, t) => a + y[t]);
const isEuclidean = (metric) => metric === 'euclidean' || metric === 'squared_euclidean';

export const hasCodes = (dimension) => dimension >= 32;

/** What of a vector is coded: itself, or under cosine its direction. */
function codedOf(vector, metric) {
  if (metric !== 'cosine') return vector;
  const size = length(vector);
  return vector.map((a) => (size > 0 ? a / size : 0));
}

/** Bytes of a row's code: of each 32 components sixteen, of the others two for each four. */
const codeLength = (dimension) =>
  16 * Math.floor(dimension / GROUP) + 2 * Math.ceil(dimension % GROUP / 4);

/** The levels, 0 to 15, of the components of one row. */
function levelsOf(code, dimension) {
  return Array.from({ length: dimension }, (_, t) => {
    const first = Math.floor(t / GROUP) * GROUP;
    const words = Math.ceil(Math.min(dimension - first, GROUP) / 4);
    const word = first / 2 + 2 * ((t - first) % words);
    const bits = code[word] | code[word + 1] << 8;
    return bits >> 4 * Math.floor((t - first) / words) & 15;
  });
}

function readBlock(fields, n, { dimension, metric }, origin) {
  const padded = whole(dimension, GROUP);
  const [scale, square, reach, error] = fields.many(4, () => fields.f32());
  const center = fields.many(dimension, () => fields.i8() * scale);
  fields.zeros(padded - dimension);
  const middle = isEuclidean(metric) ? center : plus(origin, center);
  demand(Math.abs(dot(middle, middle) - square) <= 1e-5 * square, 'a center of another length');
  const levels = fields.many(n, () => levelsOf(fields.bytes(codeLength(dimension)), dimension));
  fields.zeros(whole(n * codeLength(dimension), 16) - n * codeLength(dimension));
  const column = () => {
    const values = fields.many(n, () => fields.f32());
    fields.zeros(4 * (whole(n, 4) - n));
    return values;
  };
  const [steps, shifts] = [column(), column()];
  return steps.map((step, i) => ({
    origin, center, step, shift: shifts[i], reach, error,
    residual: levels[i].map((level) => step * (level - 7.5)),
  }));
}

/** The codes of rows that come in runs, block after block; undefined for each without any. */
export function readCodes(section, origin, runs, config) {
  const fields = new Fields(section, 'the codes');
  const { dimension } = config;
  const most = Math.max(LEAST_ROWS, Math.floor(BLOCK_BYTES / (4 * dimension)));
  const codes = [];
  for (const rows of runs) {
    for (let at = 0; at < rows; at += most) {
      const n = Math.min(most, rows - at);
      codes.push(...hasCodes(dimension) ? readBlock(fields, n, config, origin) : Array(n));
    }
  }
  fields.end();
  return codes;
}

/** That a code says of its vector what it should. */
export function checkCode(code, vector, { metric }) {
  const { origin, center, step, shift, reach, error, residual } = code;
  const x = codedOf(vector, metric);
  const exact = minus(minus(x, origin), center);
  // What 32-bit floats may have lost.
  const lost = 1e-6 * (length(x) + length(origin) + length(center));
  const off = length(minus(exact, residual));
  demand(off <= step * Math.sqrt(x.length) / 2 * 1.0001 + lost, 'a code that is far from its row');
  demand(off <= step * error + lost, 'a code that is farther from its row than its block says');
  const needed = length(center) + Math.max(length(exact), length(residual));
  demand(reach >= needed - lost, 'a row beyond the reach of its block');
  const right = isEuclidean(metric) ? dot(exact, exact) + 2 * dot(center, residual)
    : dot(plus(origin, center), minus(residual, exact));
  const scale = isEuclidean(metric) ? reach : reach + length(origin);
  demand(Math.abs(shift - right) <= 1e-5 * reach * scale, 'a wrong shift');
}

/**
 * How far a row is from a query by its code alone, with squares for the euclidean metrics, and by
 * how much that may be off: `margin` at most.
 */
export function estimate({ origin, center, step, shift, residual }, query, metric) {
  const half = Math.sqrt(query.length) / 2;
  if (isEuclidean(metric)) {
    const y = minus(query, origin);
    const toCenter = minus(y, center);
    const value = dot(toCenter, toCenter) - 2 * dot(y, residual) + shift;
    return { value, margin: 2 * step * length(toCenter) * half };
  }
  const y = codedOf(query, metric);
  const middle = plus(origin, center);
  const tilt = dot(y, middle) / dot(middle, middle);
  const value = (metric === 'cosine' ? 1 : 0) - dot(y, middle) - dot(y, residual) + tilt * shift;
  const rest = y.map((a, t) => a - tilt * middle[t]);
  return { value, margin: step * length(rest) * half };
}
