import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import vm from 'node:vm';
import fc from 'fast-check';
import { SealvecError } from '../../build/js/errors.js';
import { compileFilter } from '../../build/js/filter.js';

const YES = true;
const NO = false;

/** Filter, metadata, whether it matches: as MongoDB 7 has it. */
const MATCHES = [
  [{}, {}, YES],
  [{}, undefined, YES],
  [{ a: 1 }, undefined, NO],
  [{ a: 1 }, { a: 1 }, YES],
  [{ a: 1 }, { a: '1' }, NO],
  [{ a: 1, b: 2 }, { a: 1, b: 2 }, YES],
  [{ a: 1, b: 2 }, { a: 1, b: 3 }, NO],
  [{ a: 0 }, { a: -0 }, YES],
  [{ a: true }, { a: 1 }, NO],
  // null and what is missing
  [{ a: null }, {}, YES],
  [{ a: null }, { a: null }, YES],
  [{ a: null }, { a: 0 }, NO],
  [{ a: null }, { a: [1, null] }, YES],
  [{ a: { $ne: null } }, {}, NO],
  [{ a: { $ne: null } }, { a: 0 }, YES],
  [{ a: { $ne: 1 } }, {}, YES],
  [{ 'a.b': { $ne: 1 } }, { a: 5 }, YES],
  [{ a: { $in: [1, null] } }, {}, YES],
  [{ a: { $nin: [1, null] } }, {}, NO],
  [{ a: { $nin: [1] } }, {}, YES],
  [{ a: { $exists: true } }, { a: null }, YES],
  [{ a: { $exists: true } }, {}, NO],
  [{ a: { $exists: false } }, {}, YES],
  [{ 'a.b': { $exists: false } }, { a: [] }, YES],
  [{ 'a.b': { $exists: true } }, { a: [{ c: 1 }, { b: 1 }] }, YES],
  // order
  [{ a: { $gt: 1, $lt: 5 } }, { a: 3 }, YES],
  [{ a: { $gt: 1, $lt: 5 } }, { a: 5 }, NO],
  [{ a: { $gt: 1, $lt: 5 } }, { a: [0, 9] }, YES],
  [{ a: { $gte: 5, $lte: 5 } }, { a: 5 }, YES],
  [{ a: { $gt: 1 } }, { a: '5' }, NO],
  [{ a: { $gte: 0 } }, { a: null }, NO],
  [{ a: { $gte: 0 } }, {}, NO],
  [{ a: { $lte: 0 } }, { a: [] }, NO],
  [{ a: { $gte: '2020-01-01' } }, { a: '2020-06-01' }, YES],
  [{ a: { $gt: 'b' } }, { a: ['a', 'c'] }, YES],
  // arrays
  [{ tags: 'x' }, { tags: ['x', 'y'] }, YES],
  [{ tags: 'z' }, { tags: ['x', 'y'] }, NO],
  [{ tags: ['x', 'y'] }, { tags: ['x', 'y'] }, YES],
  [{ tags: ['y', 'x'] }, { tags: ['x', 'y'] }, NO],
  [{ tags: ['x'] }, { tags: [['x'], 'y'] }, YES],
  [{ tags: 'x' }, { tags: [['x']] }, NO],
  [{ tags: { $ne: 'x' } }, { tags: ['x', 'y'] }, NO],
  [{ tags: { $nin: ['x'] } }, { tags: ['y', 'x'] }, NO],
  [{ tags: { $in: ['x', 'q'] } }, { tags: ['y', 'x'] }, YES],
  [{ tags: { $in: [] } }, { tags: ['x'] }, NO],
  [{ tags: { $nin: [] } }, { tags: ['x'] }, YES],
  [{ tags: { $all: ['x', 'y'] } }, { tags: ['y', 'z', 'x'] }, YES],
  [{ tags: { $all: ['x', 'y'] } }, { tags: ['y', 'z'] }, NO],
  [{ tags: { $all: ['x'] } }, { tags: 'x' }, YES],
  [{ tags: { $size: 2 } }, { tags: ['x', 'y'] }, YES],
  [{ tags: { $size: 2 } }, { tags: [['x', 'y']] }, NO],
  [{ tags: { $size: 1 } }, { tags: 'x' }, NO],
  [{ a: { $elemMatch: { $gt: 1, $lt: 5 } } }, { a: [0, 9] }, NO],
  [{ a: { $elemMatch: { $gt: 1, $lt: 5 } } }, { a: [0, 3] }, YES],
  [{ a: { $elemMatch: { $gt: 1 } } }, { a: 3 }, NO],
  [{ a: { $elemMatch: { $gt: 1 } } }, { a: [[3]] }, NO],
  [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { c: 2 }] }, NO],
  [{ a: { $elemMatch: { b: 1, c: 2 } } }, { a: [{ b: 1 }, { b: 1, c: 2 }] }, YES],
  [{ a: { $elemMatch: { $or: [{ b: 1 }, { b: 2 }] } } }, { a: [{ b: 2 }] }, YES],
  [{ 'a.b': 1, 'a.c': 2 }, { a: [{ b: 1 }, { c: 2 }] }, YES],
  // paths
  [{ 'a.b.c': 1 }, { a: { b: { c: 1 } } }, YES],
  [{ 'a.b': 1 }, { 'a.b': 1 }, NO],
  [{ 'a.b': 2 }, { a: [{ b: 1 }, { b: 2 }] }, YES],
  [{ 'a.b': 1 }, { a: [[{ b: 1 }]] }, NO],
  [{ 'a.1': 7 }, { a: [5, 7] }, YES],
  [{ 'a.1': 7 }, { a: { 1: 7 } }, YES],
  [{ 'a.1.b': 7 }, { a: [5, { b: 7 }] }, YES],
  [{ 'a.2024': 7 }, { a: [{ 2024: 7 }] }, YES],
  [{ 'a.b': null }, { a: [] }, NO],
  [{ 'a.b': null }, { a: [{ c: 1 }] }, YES],
  // what arrays, strings and objects inherit or carry is not data
  [{ 'a.length': 2 }, { a: ['x', 'y'] }, NO],
  [{ 'a.length': 2 }, { a: 'xy' }, NO],
  [{ 'a.length': 2 }, { a: { length: 2 } }, YES],
  [{ 'a.length': 2 }, { a: [{ length: 2 }] }, YES],
  [{ toString: { $exists: true } }, {}, NO],
  [{ 'a.map': { $exists: true } }, { a: [1] }, NO],
  [{ 'a.map': 1 }, { a: [{ map: 1 }] }, YES],
  [{ hasOwnProperty: 1 }, { hasOwnProperty: 1 }, YES],
  [{ toJSON: 1 }, { toJSON: 1 }, YES],
  [{ toJSON: 1 }, { toJSON: 2 }, NO],
  // objects
  [{ a: { b: 1 } }, { a: { b: 1 } }, YES],
  [{ a: { b: 1 } }, { a: { b: 1, c: 2 } }, NO],
  [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }, YES],
  [{ a: {} }, { a: {} }, YES],
  [{ a: { b: null } }, { a: { c: {} } }, NO],
  [{ a: { b: null } }, { a: { b: null } }, YES],
  [{ a: { b: null } }, { a: {} }, NO],
  [{ a: { $eq: { b: [1, { c: null }] } } }, { a: { b: [1, { c: null }] } }, YES],
  // logic
  [{ $or: [{ a: 1 }, { b: 1 }] }, { b: 1 }, YES],
  [{ $or: [{ a: 1 }, { b: 1 }] }, { b: 2 }, NO],
  [{ $or: [{ a: 1, b: 2 }, {}] }, {}, YES],
  [{ $nor: [{ a: 1 }, { b: 1 }] }, { b: 2 }, YES],
  [{ $nor: [{ a: 1 }, { b: 1 }] }, { b: 1 }, NO],
  [{ $and: [{ a: { $gt: 1 } }, { a: { $lt: 3 } }] }, { a: 2 }, YES],
  [{ $and: [{ $or: [{ a: 1 }, { a: 2 }] }, { $nor: [{ a: 1 }] }], b: 1 }, { a: 2, b: 1 }, YES],
  [{ a: { $not: { $gt: 5 } } }, { a: 3 }, YES],
  [{ a: { $not: { $gt: 5 } } }, {}, YES],
  [{ a: { $not: { $gt: 5 } } }, { a: [3, 9] }, NO],
  [{ a: { $not: { $gt: 1, $lt: 5 } } }, { a: 7 }, YES],
  [{ 'a.b': { $not: { $eq: 1 } } }, { a: [] }, YES],
  [{ a: { $not: { $not: { $eq: 1 } } } }, { a: 1 }, YES],
  // numbers and types
  [{ a: { $mod: [4, 1] } }, { a: 9 }, YES],
  [{ a: { $mod: [4, 1] } }, { a: 9.7 }, YES],
  [{ a: { $mod: [4, 1] } }, { a: '9' }, NO],
  [{ a: { $mod: [4, 0] } }, { a: null }, NO],
  [{ a: { $mod: [4, 0] } }, { a: -8 }, YES],
  [{ a: { $mod: [4, 0] } }, {}, NO],
  [{ a: { $mod: [4, 0] } }, { a: [8] }, YES],
  [{ a: { $type: 'string' } }, { a: 'x' }, YES],
  [{ a: { $type: ['string', 'null'] } }, { a: null }, YES],
  [{ a: { $type: 'null' } }, {}, NO],
  [{ a: { $type: 'array' } }, { a: [1] }, YES],
  [{ a: { $type: 'number' } }, { a: ['x', 1] }, YES],
  [{ a: { $type: 'object' } }, { a: { b: 1 } }, YES],
  [{ a: { $type: 'bool' } }, { a: 0 }, NO],
];

function nested(depth) {
  let value = 1;
  for (let i = 1; i < depth; i++) value = { a: value };
  return value;
}

const cycle = { a: {} };
cycle.a.b = cycle.a;
const many = (n) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]));

/** Filter, what the message must say. */
const REFUSED = [
  [null, /^filters: expected a plain object, got null$/],
  ['a', /^filters: expected a plain object, got a string of 1$/],
  [[], /^filters: expected a plain object, got an array of 0$/],
  [new Map(), /^filters: expected a plain object, got an instance of Map$/],
  [() => true, /^filters: expected a plain object, got function$/],
  [{ $where: 'true' }, /^filters\.\$where: refused: code is never run; expected \$and, /],
  [{ a: { $where: () => true } }, /^filters\.a\.\$where: refused: code is never run/],
  [{ a: { $regex: '(a+)+$' } }, /^filters\.a\.\$regex: refused: regular expressions can take/],
  [{ a: /x/ }, /^filters\.a: .*regular expressions.*, got an instance of RegExp$/],
  [{ a: { $in: [/x/] } }, /^filters\.a\.\$in\[0\]: .*regular expressions/],
  [{ a: { $not: /x/ } }, /^filters\.a\.\$not: expected an object of operators/],
  [{ a: { $foo: 1 } }, /^filters\.a\.\$foo: unknown operator; expected \$eq, .*, got \$foo$/],
  [{ $foo: 1 }, /^filters\.\$foo: unknown operator; expected \$and, \$or, \$nor, got \$foo$/],
  [{ $field: { parts: [], condition: {} } }, /^filters\.\$field: unknown operator/],
  [{ $gt: 1 }, /^filters\.\$gt: operator out of place; expected \$and/],
  [{ a: { $or: [{ b: 1 }] } }, /^filters\.a\.\$or: operator out of place/],
  [{ a: new Date(0) }, /^filters\.a: .*number or ISO string.*, got an instance of Date$/],
  [{ a: { $gte: new Date(0) } }, /^filters\.a\.\$gte: expected a number or a string/],
  [{ a: { $gte: null } }, /^filters\.a\.\$gte: expected a number or a string, got null$/],
  [{ a: { $gt: NaN } }, /^filters\.a\.\$gt: expected a finite number, got NaN$/],
  [{ a: Infinity }, /^filters\.a: expected a finite number, got Infinity$/],
  [{ a: 1n }, /^filters\.a: expected JSON data, got bigint$/],
  [{ a: Symbol('s') }, /^filters\.a: expected JSON data, got symbol$/],
  [{ a: undefined }, /^filters\.a: expected JSON data, got undefined$/],
  [{ a: () => 1 }, /^filters\.a: expected JSON data, got function$/],
  [{ [Symbol('s')]: 1 }, /^filters: expected string keys, got symbol$/],
  [{ a: [, 1] }, /^filters\.a\[0\]: expected JSON data, got undefined$/],
  [{ a: new (class A {})() }, /^filters\.a: expected a plain object/],
  [{ a: new Uint8Array(2) }, /^filters\.a: expected a plain object, got an instance of Uint8/],
  [cycle, /^filters\.a\.b: expected JSON data, got a cycle$/],
  [nested(34), /: expected at most 32 levels, got more$/],
  [many(1025), /^filters: expected at most 1024 keys in a filter, got 1025$/],
  [{ a: many(1024) }, /^filters\.a: expected at most 1024 keys/],
  [{ a: { $in: Array(100_001).fill(1) } }, /expected at most 100000 values/],
  [JSON.parse('{"__proto__": 1}'), /^filters\.__proto__: expected a field name/],
  [JSON.parse('{"a": {"__proto__": {"b": 1}}}'), /^filters\.a\.__proto__: /],
  [{ 'a.__proto__.b': 1 }, /^filters\.a\.__proto__\.b: expected a field name or dotted path, got/],
  [{ 'constructor.name': 'x' }, /^filters\.constructor\.name: expected a field name/],
  [{ 'a.prototype': 1 }, /^filters\.a\.prototype: expected a field name/],
  [{ '': 1 }, /^filters\.: expected a field name/],
  [{ 'a..b': 1 }, /^filters\.a\.\.b: expected a field name/],
  [{ a: { $in: 1 } }, /^filters\.a\.\$in: expected an array, got 1$/],
  [{ a: { $nin: { 0: 1, length: 1 } } }, /^filters\.a\.\$nin: expected an array, got an object$/],
  [{ a: { $all: [] } }, /^filters\.a\.\$all: expected a non-empty array, got an array of 0$/],
  [{ $and: [] }, /^filters\.\$and: expected a non-empty array of filters, got an array of 0$/],
  [{ $or: {} }, /^filters\.\$or: expected an array, got an object$/],
  [{ $or: [1] }, /^filters\.\$or\[0\]: expected a plain object, got 1$/],
  [{ $or: [{ a: { $foo: 1 } }] }, /^filters\.\$or\[0\]\.a\.\$foo: unknown operator/],
  [{ a: { $gt: 1, b: 2 } }, /^filters\.a\.b: expected operators only/],
  [{ a: { b: { $gt: 1 } } }, /^filters\.a\.b\.\$gt: .*use a dotted path$/],
  [{ a: { $eq: { $gt: 1 } } }, /^filters\.a\.\$eq\.\$gt: .*use a dotted path$/],
  [{ a: { $exists: 1 } }, /^filters\.a\.\$exists: expected true or false, got 1$/],
  [{ a: { $size: -1 } }, /^filters\.a\.\$size: expected a whole number from 0 up, got -1$/],
  [{ a: { $size: '2' } }, /^filters\.a\.\$size: /],
  [{ a: { $mod: [0, 1] } }, /^filters\.a\.\$mod: expected a divisor other than 0 and a remainder/],
  [{ a: { $mod: [4] } }, /^filters\.a\.\$mod: expected a divisor/],
  [{ a: { $mod: [4, 1, 2] } }, /^filters\.a\.\$mod: expected a divisor/],
  [{ a: { $mod: [4.5, 1] } }, /^filters\.a\.\$mod\[0\]: expected a whole number, got 4\.5$/],
  [{ a: { $type: 'date' } }, /^filters\.a\.\$type: expected one or more of array, .*, got a string of 4$/],
  [{ a: { $type: [] } }, /^filters\.a\.\$type: expected one or more of/],
  [{ a: { $elemMatch: 3 } }, /^filters\.a\.\$elemMatch: expected an object, got 3$/],
  [{ a: { $elemMatch: { $gt: 1, b: 1 } } }, /^filters\.a\.\$elemMatch\.b: expected operators only/],
  [{ a: { $elemMatch: { b: 1, $gt: 1 } } }, /^filters\.a\.\$elemMatch\.\$gt: operator out/],
  [{ a: { $not: {} } }, /^filters\.a\.\$not: expected an object of operators, got an object$/],
  [{ a: { $not: { b: 1 } } }, /^filters\.a\.\$not\.b: expected operators only/],
];

describe('compileFilter', () => {
  for (const [filter, metadata, matches] of MATCHES) {
    const name = `${JSON.stringify(filter)} ${matches ? 'matches' : 'does not match'} `;
    test(name + JSON.stringify(metadata), () => {
      const compiled = compileFilter(filter);
      assert.equal(compiled(metadata), matches);
      assert.equal(compiled(metadata), matches, 'asked again');
    });
  }

  for (const [i, [filter, message]] of REFUSED.entries()) {
    test(`refuses bad filter ${i}: ${message}`, () => {
      assert.throws(
        () => compileFilter(filter),
        (error) => {
          assert.ok(error instanceof SealvecError, error.stack);
          assert.equal(error.code, 'INVALID_ARGUMENT');
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  test('accepts the most that it allows', () => {
    assert.equal(compileFilter(many(1024))(many(1024)), true);
    assert.equal(compileFilter(nested(33))(nested(33)), true);
    const values = Array.from({ length: 50_000 }, (_, i) => i);
    assert.equal(compileFilter({ a: { $in: values } })({ a: 49_999 }), true);
  });

  test('takes objects without a prototype and objects of another realm', () => {
    const bare = Object.assign(Object.create(null), { a: Object.create(null) });
    assert.equal(compileFilter(bare)({ a: {} }), true);
    const foreign = vm.runInNewContext('({ a: { $in: [1, { b: 2 }] } })');
    assert.equal(compileFilter(foreign)({ a: { b: 2 } }), true);
  });

  test('does not change when the caller changes the filter later', () => {
    const filter = { a: { $in: [1] }, b: { c: [1] } };
    const matches = compileFilter(filter);
    filter.a.$in.push(2);
    filter.b.c[0] = 5;
    delete filter.b;
    assert.equal(matches({ a: 1, b: { c: [1] } }), true);
    assert.equal(matches({ a: 2, b: { c: [1] } }), false);
    assert.equal(matches({ a: 1 }), false);
  });

  test('reads each property of a filter once', () => {
    let reads = 0;
    const filter = {
      a: {
        get $gt() {
          return reads++ === 0 ? 1 : { $where: 'evil' };
        },
      },
    };
    assert.equal(compileFilter(filter)({ a: 2 }), true);
    assert.equal(reads, 1);
  });

  test('does not take what pollutes Object.prototype for part of a filter or of data', () => {
    Object.prototype.polluted = 1;
    try {
      assert.equal(compileFilter({ a: 1 })({ a: 1 }), true);
      assert.equal(compileFilter({ polluted: 1 })({}), false);
      assert.equal(compileFilter({ a: { polluted: 1 } })({ a: { b: 1 } }), false);
    } finally {
      delete Object.prototype.polluted;
    }
  });

  test('agrees with an independent evaluator on random filters and metadata', () => {
    fc.assert(
      fc.property(filterArbitrary, metadataArbitrary, (filter, metadata) => {
        assert.equal(compileFilter(filter)(metadata), evaluate(filter, metadata));
      }),
      { numRuns: 20_000 },
    );
  });

  test('throws nothing but INVALID_ARGUMENT, whatever it is given', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true }), (filter) => {
        try {
          compileFilter(filter)({ a: 1 });
        } catch (error) {
          assert.equal(error.code, 'INVALID_ARGUMENT', error.stack);
        }
      }),
      { numRuns: 5_000 },
    );
  });
});

// ---- random filters and metadata ----------------------------------------------

const fieldNames = ['a', 'b', 'length', '0'];
const scalar = fc.constantFrom(null, true, false, 0, 1, 2, -3, 2.5, '', 'a', 'b', '1');
const { value: dataArbitrary } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...fieldNames), tie('value'), { maxKeys: 3 }),
  ),
}));
const metadataArbitrary = fc.dictionary(fc.constantFrom(...fieldNames), dataArbitrary, {
  maxKeys: 4,
});
const pathArbitrary = fc
  .array(fc.constantFrom(...fieldNames), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('.'));
const values = (options) => fc.array(dataArbitrary, { maxLength: 3, ...options });
const ordered = fc.constantFrom(0, 1, 2, 2.5, 'a', '1');
const operand = (condition, filter) => ({
  $eq: dataArbitrary,
  $ne: dataArbitrary,
  $gt: ordered,
  $gte: ordered,
  $lt: ordered,
  $lte: ordered,
  $in: values(),
  $nin: values(),
  $all: values({ minLength: 1 }),
  $exists: fc.boolean(),
  $size: fc.nat(3),
  $mod: fc.tuple(fc.constantFrom(1, 2, 3, -2), fc.constantFrom(0, 1, -1)),
  $type: fc.constantFrom('array', 'bool', 'null', 'number', 'object', 'string'),
  $not: condition,
  $elemMatch: fc.oneof(condition, filter),
});
const { filter: filterArbitrary } = fc.letrec((tie) => ({
  condition: fc
    .subarray(Object.keys(operand(fc.nat(), fc.nat())), { minLength: 1, maxLength: 2 })
    .chain((names) => {
      const all = operand(tie('condition'), tie('filter'));
      return fc.record(Object.fromEntries(names.map((name) => [name, all[name]])));
    }),
  field: fc
    .tuple(pathArbitrary, fc.oneof(dataArbitrary, tie('condition'), tie('condition')))
    .map(([path, condition]) => ({ [path]: condition })),
  logic: fc
    .tuple(
      fc.constantFrom('$and', '$or', '$nor'),
      fc.array(tie('filter'), { minLength: 1, maxLength: 3 }),
    )
    .map(([name, filters]) => ({ [name]: filters })),
  filter: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    tie('field'),
    fc.tuple(tie('field'), tie('field')).map(([a, b]) => ({ ...a, ...b })),
    tie('logic'),
  ),
}));

// ---- the evaluator: what the filter means, in the fewest words -----------------

const isArray = Array.isArray;
const isObject = (value) => typeof value === 'object' && value !== null && !isArray(value);

function evaluate(filter, data) {
  return Object.entries(filter).every(([key, value]) => {
    if (key === '$and') return value.every((part) => evaluate(part, data));
    if (key === '$or') return value.some((part) => evaluate(part, data));
    if (key === '$nor') return !value.some((part) => evaluate(part, data));
    return holds(operatorsOf(value), leaves(data, key.split('.')));
  });
}

function operatorsOf(value) {
  return isObject(value) && Object.keys(value)[0]?.startsWith('$') ? value : { $eq: value };
}

/** The values at the end of a path; undefined for each place where it leads nowhere. */
function leaves(data, [part, ...rest]) {
  if (part === undefined) return [data];
  if (isObject(data)) return Object.hasOwn(data, part) ? leaves(data[part], rest) : [undefined];
  if (!isArray(data)) return [undefined];
  const byIndex = /^\d+$/.test(part) && data[part] !== undefined ? leaves(data[part], rest) : [];
  const elements = data
    .filter((element) => isObject(element) && (!/^\d+$/.test(part) || part in element))
    .flatMap((element) => leaves(element, [part, ...rest]));
  return [...byIndex, ...elements];
}

function holds(operators, whole, enter = true) {
  const all = whole.flatMap((value) => (enter && isArray(value) ? [...value, value] : [value]));
  return Object.entries(operators).every(([name, x]) => {
    const some = (test) => all.some(test);
    const arrays = whole.filter(isArray);
    switch (name) {
      case '$eq':
        return some((v) => equal(v ?? null, x));
      case '$ne':
        return !some((v) => equal(v ?? null, x));
      case '$in':
        return some((v) => x.some((y) => equal(v ?? null, y)));
      case '$nin':
        return !some((v) => x.some((y) => equal(v ?? null, y)));
      case '$all':
        return x.every((y) => some((v) => equal(v ?? null, y)));
      case '$gt':
        return some((v) => typeof v === typeof x && v > x);
      case '$gte':
        return some((v) => typeof v === typeof x && v >= x);
      case '$lt':
        return some((v) => typeof v === typeof x && v < x);
      case '$lte':
        return some((v) => typeof v === typeof x && v <= x);
      case '$exists':
        return some((v) => v !== undefined) === x;
      case '$size':
        return arrays.some((v) => v.length === x);
      case '$mod':
        return some((v) => typeof v === 'number' && Math.trunc(v) % x[0] === x[1]);
      case '$type':
        return some((v) => typeName(v) === x);
      case '$not':
        return !holds(x, whole, enter);
      case '$elemMatch':
        return arrays.some((v) => v.some((element) => elementHolds(x, element)));
    }
    throw new Error(name);
  });
}

function elementHolds(query, element) {
  const [first] = Object.keys(query);
  if (!first.startsWith('$') || ['$and', '$or', '$nor'].includes(first)) {
    return isObject(element) && evaluate(query, element);
  }
  // An element is compared as it is: an array in an array is not entered.
  return holds(query, [element], false);
}

function typeName(v) {
  if (v === null || v === undefined) return v === null ? 'null' : undefined;
  if (isArray(v)) return 'array';
  return typeof v === 'boolean' ? 'bool' : typeof v;
}

function equal(a, b) {
  if (isArray(a) && isArray(b)) return a.length === b.length && a.every((v, i) => equal(v, b[i]));
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
    );
  }
  return a === b;
}
