// Values that are wrong for one argument or another, each as [name, a function that makes it].

const named = (values) => Object.entries(values);
const detached = (array) => {
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
};
const revoked = (target) => {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
};
const failing = (target) =>
  new Proxy(target, {
    get: () => {
      throw new TypeError('from a getter');
    },
    ownKeys: () => {
      throw new RangeError('from ownKeys');
    },
  });
class Instance {
  own = 1;
}

/** One value of every kind, by what a test of types calls it. */
const KINDS = {
  null: () => null,
  true: () => true,
  false: () => false,
  zero: () => 0,
  number: () => 7,
  string: () => 'text',
  bigint: () => 7n,
  symbol: () => Symbol('s'),
  function: () => () => 1,
  object: () => ({}),
  bare: () => Object.create(null),
  instance: () => new Instance(),
  array: () => [],
  'array of a number': () => [1],
  Date: () => new Date(0),
  Map: () => new Map([['a', 1]]),
  Set: () => new Set(['a']),
  RegExp: () => /x/,
  Error: () => new Error('e'),
  Number: () => new Number(5),
  String: () => new String('x'),
  Boolean: () => new Boolean(true),
  Uint8Array: () => new Uint8Array(3),
  Float32Array: () => new Float32Array(5),
  Int16Array: () => new Int16Array(3),
  BigInt64Array: () => new BigInt64Array(3),
  DataView: () => new DataView(new ArrayBuffer(8)),
  ArrayBuffer: () => new ArrayBuffer(8),
  SharedArrayBuffer: () => new SharedArrayBuffer(8),
  generator: () =>
    (function* () {
      yield 1;
    })(),
  'array-like': () => ({ length: 1, 0: 'a' }),
  'revoked object': () => revoked({}),
  'revoked array': () => revoked([]),
  'failing object': () => failing({ a: 1 }),
  'failing array': () => failing([1]),
};

/** Values of all kinds but those that are named. */
export const kinds = (...but) => named(KINDS).filter(([name]) => !but.includes(name));
export const OBJECTS = ['object', 'bare'];

const NUMBERS = {
  NaN: () => NaN,
  Infinity: () => Infinity,
  '-Infinity': () => -Infinity,
  'minus one': () => -1,
  '2^53': () => 2 ** 53,
  '-2^53': () => -(2 ** 53),
  '1e308': () => 1e308,
  half: () => 0.5,
  'one and a half': () => 1.5,
  '5 in a string': () => '5',
  '5n': () => 5n,
  '[5]': () => [5],
};

/** What no whole number of an argument is; `but` names what is right for this one. */
export const integers = (...but) => [
  ...kinds('number', ...but),
  ...named(NUMBERS).filter(([name]) => !but.includes(name)),
];

export const keys = (length) => [
  ...kinds(),
  ...named({
    'no bytes': () => new Uint8Array(),
    'one byte less': () => new Uint8Array(length - 1),
    'one byte more': () => new Uint8Array(length + 1),
    'twice the bytes': () => new Uint8Array(2 * length),
    detached: () => detached(new Uint8Array(length)),
    hex: () => 'ab'.repeat(length),
    numbers: () => new Array(length).fill(1),
    clamped: () => new Uint8ClampedArray(length),
    buffer: () => new ArrayBuffer(length),
    words: () => new Uint16Array(length),
    'shared, one byte less': () => new Uint8Array(new SharedArrayBuffer(length - 1)),
    proxy: () => new Proxy(new Uint8Array(length), {}),
    'false length': () => Object.defineProperty(new Uint8Array(5), 'length', { value: length }),
  }),
];

/** Texts that are nearly the anchor given. */
export const anchors = (anchor) =>
  named({
    'an anchor cut short': () => anchor.slice(0, -1),
    'an anchor and more': () => `${anchor}0`,
    'an anchor in capitals': () => anchor.toUpperCase(),
    'an anchor with two digits exchanged': () =>
      anchor.replace(/(.)(.)$/, (_, x, y) => (x === y ? `${x}${'0' === y ? 1 : 0}` : y + x)),
    'an anchor of a version to come': () => anchor.replace('-1:', '-2:'),
    'an anchor of zeros': () => `sealvec-anchor-1:${'0'.repeat(128)}`,
  });

export const permissions = () => [
  ...kinds(),
  ...named({
    none: () => [],
    'write alone': () => ['write'],
    'one unknown': () => ['read', 'admin'],
    'a number in it': () => ['read', 3],
    'a text': () => 'read',
    'a set': () => new Set(['read']),
    'in capitals': () => ['READ'],
  }),
];

export const names = (max) => [
  ...kinds('string'),
  ...named({
    empty: () => '',
    'a NUL': () => 'a\0b',
    'lone high': () => 'a\ud800',
    'lone low': () => '\udc00a',
    'one byte more': () => 'x'.repeat(max + 1),
    'bytes, not characters': () => 'ä'.repeat(max / 2 + 1),
    huge: () => 'x'.repeat(1 << 20),
  }),
];

const BAD_IDS = {
  twice: () => ['a', 'b', 'a'],
  'an empty one': () => ['a', ''],
  'a number': () => ['a', 5],
  null: () => [null],
  nested: () => [['a']],
  'a hole': () => ['a', , 'b'], // eslint-disable-line
  'all holes': () => new Array(3),
  'four billion holes': () => new Array(2 ** 32 - 1),
  'a lone surrogate': () => ['\ud800'],
  '1,025 bytes': () => ['x'.repeat(1025)],
  '1,026 bytes': () => ['ä'.repeat(513)],
  'a String': () => [new String('a')],
  'a symbol': () => [Symbol('a')],
  'a failing entry': () => [failing({})],
};
export const ids = () => [...kinds(), ...named(BAD_IDS)];
export const oneId = () => [
  ...kinds('string'),
  ...named({
    undefined: () => undefined,
    empty: () => '',
    surrogate: () => '\udfff',
    long: () => 'x'.repeat(1025),
  }),
];

/** Components that make a vector wrong. */
const COMPONENTS = {
  NaN: NaN,
  Infinity: Infinity,
  '-Infinity': -Infinity,
  '1e39': 1e39,
  '-1e300': -1e300,
  null: null,
  undefined: undefined,
  string: '1',
  bigint: 1n,
  boolean: true,
  object: {},
  array: [1],
  symbol: Symbol('x'),
};
/** Wrong vectors for a dimension of 3. */
const VECTORS = {
  empty: () => [],
  short: () => [1, 2],
  long: () => [1, 2, 3, 4],
  'too long': () => new Array(16_385).fill(0),
  'a hole': () => [1, , 3],
  holes: () => new Array(3),
  'empty floats': () => new Float32Array(), // eslint-disable-line
  'short floats': () => new Float32Array(2),
  'short doubles': () => new Float64Array(2),
  integers: () => new Int32Array(3),
  bytes: () => new Uint8Array(3),
  view: () => new DataView(new ArrayBuffer(12)),
  detached: () => detached(new Float32Array(3)),
  'detached doubles': () => detached(new Float64Array(3)),
  'floats with NaN': () => Float32Array.of(1, NaN, 3),
  'floats with Infinity': () => Float32Array.of(1, 2, Infinity),
  'doubles with -Infinity': () => Float64Array.of(-Infinity, 2, 3),
  'doubles with 1e39': () => Float64Array.of(1, 1e39, 3),
  'a norm over 1e18': () => [1e18, 1e18, 0],
  'a failing one': () => failing([1, 2, 3]),
  'a revoked one': () => revoked([1, 2, 3]),
  string: () => '123',
  number: () => 5,
  null: () => null,
  'array-like': () => ({ length: 3, 0: 1, 1: 2, 2: 3 }),
  'a proxy of floats': () => new Proxy(new Float32Array(3), {}),
  ...Object.fromEntries(
    Object.entries(COMPONENTS).map(([name, x]) => [`with ${name}`, () => [1, x, 3]]),
  ),
};
export const oneVector = () => [
  ...named(VECTORS),
  ['undefined', () => undefined],
  ...kinds('array', 'array of a number', 'Float32Array').map(([name, make]) => [
    `kind ${name}`,
    make,
  ]),
];

/** Wrong lists of one vector of 3 components. */
export const vectorLists = () => [
  ...kinds(),
  ['undefined', () => undefined],
  ...oneVector().map(([name, make]) => [`a list with ${name}`, () => [make()]]),
  ...named({
    'two for one': () => [
      [1, 2, 3],
      [1, 2, 3],
    ],
    'flat, two for one': () => new Float32Array(6),
    'flat, not whole': () => new Float32Array(4),
    'flat and empty': () => new Float32Array(),
    'flat and detached': () => detached(new Float32Array(3)),
    'flat with NaN': () => Float32Array.of(1, 2, NaN),
    'flat doubles': () => new Float64Array(3),
    'four billion holes': () => new Array(2 ** 32 - 1),
  }),
];

/** Wrong queries for a dimension of 3. */
export const queries = () => [
  ...kinds(),
  ['undefined', () => undefined],
  ...named(VECTORS),
  ...oneVector().map(([name, make]) => [`a list with ${name}`, () => [[1, 2, 3], make()]]),
  ...named({
    'four billion holes': () => new Array(2 ** 32 - 1),
    'seven floats': () => new Float32Array(7),
  }),
];

const deep = (levels, leaf) => {
  let value = leaf;
  for (let i = 0; i < levels; i++) value = { a: value };
  return value;
};
const cyclic = () => {
  const value = { a: { b: [] } };
  value.a.b.push(value);
  return value;
};
const exponential = () => {
  let value = { x: 1 };
  for (let i = 0; i < 30; i++) value = { a: value, b: value };
  return value;
};
const exponentialArrays = () => {
  let value = [1];
  for (let i = 0; i < 30; i++) value = [value, value];
  return { a: value };
};
const own = (key, value) => Object.defineProperty({}, key, { value, enumerable: true });
const INSIDE = {
  NaN: () => NaN,
  Infinity: () => Infinity,
  bigint: () => 5n,
  symbol: () => Symbol('s'),
  function: () => () => 1,
  Date: () => new Date(0),
  Map: () => new Map(),
  Number: () => new Number(1),
  bytes: () => new Uint8Array(1),
  floats: () => new Float32Array(1),
  instance: () => new Instance(),
  'a hole': () => [1, , 2],
  'undefined in an array': () => [undefined],
  RegExp: () => /x/, // eslint-disable-line
};
const POISON = {
  'own __proto__': () => JSON.parse('{"__proto__":{"x":1}}'),
  'own constructor': () => own('constructor', 1),
  'own prototype': () => own('prototype', 1),
  'nested __proto__': () => ({ a: [own('__proto__', 1)] }),
  'nested constructor': () => ({ a: { b: own('constructor', { x: 1 }) } }),
};
export const metadata = () => [
  ...kinds('null', ...OBJECTS, 'array-like'),
  ...named(POISON),
  ...named(INSIDE).flatMap(([name, make]) => [
    [`with ${name}`, () => ({ a: make() })],
    [`with ${name} inside`, () => ({ a: [{ b: make() }] })],
  ]),
  ...named({
    '33 levels': () => deep(33, 1),
    '100,000 levels': () => deep(100_000, 1),
    cyclic,
    exponential,
    exponentialArrays,
    'over 1 MiB': () => ({ a: 'x'.repeat(1 << 20) }),
    'over 1 MiB encoded': () => ({ a: '\u0001'.repeat(200_000) }),
    'a long key': () => ({ ['k'.repeat(1 << 20)]: 1 }),
    'many values': () => ({ a: new Array(600_000).fill(1) }),
    'four billion holes': () => ({ a: new Array(2 ** 32 - 1) }),
    'a getter that fails': () =>
      Object.defineProperty({}, 'a', {
        enumerable: true,
        get: () => {
          throw new TypeError('no');
        },
      }),
    'a failing one inside': () => ({ a: failing({ b: 1 }) }),
    toJSON: () => ({ toJSON: () => ({}) }),
  }),
];
export const columns = (entries) => [
  ...kinds(),
  ...entries().map(([name, make]) => [`a list with ${name}`, () => [make()]]),
  ...named({
    'one too many': () => [null, null],
    'four billion holes': () => new Array(2 ** 32 - 1),
  }),
];

export const contents = () => [
  ...kinds('null', 'string', 'Uint8Array'),
  ...named({
    'a lone surrogate': () => 'a\udc00',
    detached: () => detached(new Uint8Array(4)),
    'over 16 MiB': () => 'x'.repeat((16 << 20) + 1),
    'over 16 MiB of bytes': () => new Uint8Array((16 << 20) + 1),
    'over 16 MiB encoded': () => 'ä'.repeat((8 << 20) + 1),
    'a proxy of bytes': () => new Proxy(new Uint8Array(3), {}),
  }),
];
export const texts = () => [
  ...kinds('string'),
  ...named({
    'a lone surrogate': () => '\ud800',
    'a list with a number': () => ['a', 5],
    'a list with a hole': () => ['a', , 'b'], // eslint-disable-line
    'a list with a lone surrogate': () => ['\ud800'],
    'four billion holes': () => new Array(2 ** 32 - 1),
  }),
];

export const filters = () => [
  ...kinds(...OBJECTS, 'array-like'),
  ...named(POISON),
  ...named({
    $where: () => ({ $where: 'true' }),
    'a function for $where': () => ({ $where: () => true }),
    $expr: () => ({ $expr: {} }),
    $regex: () => ({ a: { $regex: 'a' } }),
    unknown: () => ({ a: { $near: 1 } }),
    '$gt of NaN': () => ({ a: { $gt: NaN } }),
    '$gt of null': () => ({ a: { $gt: null } }),
    '$in of a number': () => ({ a: { $in: 5 } }),
    '$in with a hole': () => ({ a: { $in: [1, , 2] } }), // eslint-disable-line
    '$in with 4 billion holes': () => ({ a: { $in: new Array(2 ** 32 - 1) } }),
    '$size of -1': () => ({ a: { $size: -1 } }),
    '$size of 2^53': () => ({ a: { $size: 2 ** 53 } }),
    '$and of nothing': () => ({ $and: [] }),
    '$or of a number': () => ({ $or: 5 }),
    '$mod by 0': () => ({ a: { $mod: [0, 1] } }),
    '$exists of 1': () => ({ a: { $exists: 1 } }),
    '$not of a value': () => ({ a: { $not: 5 } }),
    'a value of NaN': () => ({ a: NaN }),
    'a value of Infinity': () => ({ a: Infinity }),
    'a bigint': () => ({ a: 5n }),
    'a Date': () => ({ a: new Date(0) }),
    'a path through __proto__': () => ({ 'a.__proto__.b': 1 }),
    'a path through constructor': () => ({ 'constructor.name': 1 }),
    'an empty path': () => ({ '': 1 }),
    'operators and fields': () => ({ a: { $gt: 1, b: 2 } }),
    '40 levels': () => deep(40, { $gt: 1 }),
    cyclic,
    'a failing one inside': () => ({ a: failing({ $gt: 1 }) }),
  }),
];

export const includes = (wrong) => [
  ...kinds('array'),
  ...named({
    'a wrong word': () => [wrong],
    'a number': () => ['metadata', 5],
    'a hole': () => ['metadata', , 'vector'], // eslint-disable-line
    null: () => [null],
    'four billion holes': () => new Array(2 ** 32 - 1),
    capital: () => ['Metadata'],
  }),
];
export const choices = (...wrong) => [
  ...kinds(),
  ...wrong.map((word) => [`'${word}'`, () => word]),
  ['empty', () => ''],
];

const calls = (object, ...but) =>
  Object.fromEntries(Object.entries(object).filter(([name]) => !but.includes(name)));
const signal = { aborted: false, addEventListener() {}, removeEventListener() {} };
export const signals = () => [
  ...kinds(),
  ...named({
    'the controller': () => new AbortController(),
    'no removeEventListener': () => calls(signal, 'removeEventListener'),
    'no addEventListener': () => calls(signal, 'addEventListener'),
    'no aborted': () => calls(signal, 'aborted'),
    'aborted is text': () => ({ ...signal, aborted: 'no' }),
  }),
];
const storage = { read() {}, create() {}, delete() {}, list() {}, close() {} };
export const storages = (...but) => [
  ...kinds(...but),
  ...Object.keys(storage).map((call) => [`no ${call}`, () => calls(storage, call)]),
  ...named({ 'calls that are none': () => ({ ...storage, list: 5 }) }),
];
export const loggers = () => [
  ...kinds(),
  ['no warn', () => ({ log() {} })],
  ['warn is text', () => ({ warn: 'w' })],
];
export const sources = () => [
  ...kinds('string', 'Uint8Array', 'ArrayBuffer'),
  ...named({
    empty: () => '',
    'no bytes': () => new Uint8Array(),
    detached: () => detached(new Uint8Array(9)),
    'detached buffer': () => detached(new Uint8Array(9)).buffer,
    'href is a number': () => ({ href: 5 }),
  }),
];
