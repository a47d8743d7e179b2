import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

const READERS = {
  '|u1': [1, (view, at) => view.getUint8(at)],
  '|i1': [1, (view, at) => view.getInt8(at)],
  '<f2': [2, (view, at) => fromFloat16(view.getUint16(at, true))],
  '<f4': [4, (view, at) => view.getFloat32(at, true)],
  '<i4': [4, (view, at) => view.getInt32(at, true)],
};

/**
 * Reads a NumPy file (.npy or .npy.gz): uint8, int8, float16, float32 or int32
 * in C order. Integers of 32 bits come as an Int32Array, all else as float32.
 */
export async function readNpy(path) {
  const file = await readFile(path);
  return parseNpy(file[0] === 0x1f && file[1] === 0x8b ? await promisify(gunzip)(file) : file);
}

/** Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
export function parseNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fail = (why) => {
    throw new Error(`not a .npy file that can be read here: ${why}`);
  };
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.length < 12 || magic.some((byte, i) => byte !== bytes[i])) fail('no magic');
  const version = bytes[6];
  if (![1, 2, 3].includes(version) || bytes[7] !== 0) fail(`version ${version}.${bytes[7]}`);
  const start = version === 1 ? 10 : 12;
  const end = start + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (end > bytes.length) fail('the header is cut off');
  const header = new TextDecoder('latin1').decode(bytes.subarray(start, end));
  const [, type, order, shapeText] =
    /^\{'descr': '([^']+)', 'fortran_order': (False|True), 'shape': \(([\d, ]*)\), \} *\n$/.exec(
      header,
    ) ?? fail(`header ${JSON.stringify(header.slice(0, 100))}`);
  if (!Object.hasOwn(READERS, type)) fail(`type ${type}`);
  if (order !== 'False') fail('Fortran order');
  if (!/^(\d+,|\d+(, \d+)+)?$/.test(shapeText)) fail(`shape (${shapeText})`);

  const shape = (shapeText.match(/\d+/g) ?? []).map(Number);
  const count = shape.reduce((product, n) => product * n, 1);
  const [size, read] = READERS[type];
  const want = end + count * size;
  if (bytes.length !== want) fail(`expected ${want} bytes, got ${bytes.length}`);
  const data = type === '<i4' ? new Int32Array(count) : new Float32Array(count);
  for (let i = 0; i < count; i++) data[i] = read(view, end + i * size);
  return { shape, data };
}

function fromFloat16(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}
