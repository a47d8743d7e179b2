import { SealvecError } from './errors.js';
import type { Condition, ElementQuery, FieldQuery, TypeName } from './filter-operations.js';

const MAX_DEPTH = 32;
const MAX_KEYS = 1024;
const MAX_VALUES = 100_000;

const CONDITIONS: ReadonlySet<string> = new Set(
  '$eq $ne $gt $gte $lt $lte $in $nin $not $exists $type $mod $all $size $elemMatch'.split(' '),
);
const LOGICAL: ReadonlySet<string> = new Set(['$and', '$or', '$nor']);
const REFUSED: ReadonlyMap<string, string> = new Map([
  ['$where', 'code is never run'],
  ['$expr', 'code is never run'],
  ['$function', 'code is never run'],
  ['$regex', 'regular expressions can take time without bound'],
  ['$options', 'regular expressions can take time without bound'],
]);
const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
const TYPE_NAMES: TypeName[] = ['array', 'bool', 'null', 'number', 'object', 'string'];
const TYPES: ReadonlySet<unknown> = new Set(TYPE_NAMES);

type Entry = [key: string, value: unknown];
export type Query = { readonly [operator: string]: unknown };

function refuse(path: string, expected: string, got: unknown): never {
  throw invalid(`${path}: expected ${expected}, got ${describe(got)}`);
}

function invalid(message: string): SealvecError {
  return new SealvecError('INVALID_ARGUMENT', message);
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `an array of ${value.length}`;
  switch (typeof value) {
    case 'string':
      return `a string of ${value.length}`;
    case 'number':
    case 'boolean':
      return String(value);
    case 'object':
      return tagOf(value) === 'Object' ? 'an object' : `an instance of ${tagOf(value)}`;
    default:
      return typeof value;
  }
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || tagOf(value) !== 'Object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Object.prototype of any realm is the one that inherits from nothing.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Checks and copies a filter, without what it takes to test metadata by it. */
export function readFilter(filter: unknown): Query {
  return new FilterReader().query(filter, 'filters');
}

/** Reads a filter once, property by property, into a query for our operations. */
class FilterReader {
  #keys = 0;
  #count = 0;
  readonly #open = new Set<object>();

  /** Fields and logical operators, all of which must hold. */
  query(value: unknown, path: string): Query {
    return this.#inside(value, path, () => {
      const clauses = this.#entries(value, path).map(([key, operand]) => {
        const here = `${path}.${key}`;
        if (LOGICAL.has(key)) return { [key]: this.#queries(operand, here) };
        if (key.startsWith('$')) throw this.#unknown(key, here, LOGICAL);
        const field: FieldQuery = {
          parts: this.#parts(key, here),
          condition: this.#condition(operand, here),
        };
        return { $field: field };
      });
      return clauses.length === 0 ? {} : { $and: clauses };
    });
  }

  #queries(value: unknown, path: string): Query[] {
    const list = this.#list(value, path, (part, at) => this.query(part, at));
    if (list.length === 0) refuse(path, 'a non-empty array of filters', value);
    return list;
  }

  #parts(key: string, path: string): string[] {
    const parts = key.split('.');
    for (const part of parts) {
      if (part === '' || FORBIDDEN.has(part)) refuse(path, 'a field name or dotted path', key);
    }
    return parts;
  }

  /** `{ $gte: 1 }`, or a plain value that stands for `{ $eq: value }`. */
  #condition(value: unknown, path: string): Condition {
    const isOperators = isPlain(value) && Object.keys(value).some((key) => key.startsWith('$'));
    return isOperators ? this.#operators(value, path) : { $eq: this.#value(value, path) };
  }

  #operators(value: unknown, path: string): Condition {
    return this.#inside(value, path, () => {
      const condition: { [operator: string]: unknown } = {};
      for (const [name, operand] of this.#entries(value, path)) {
        const here = `${path}.${name}`;
        if (!name.startsWith('$')) {
          const advice = 'got a field beside them; use a dotted path';
          throw invalid(`${here}: expected operators only, ${advice}`);
        }
        if (!CONDITIONS.has(name)) throw this.#unknown(name, here, CONDITIONS);
        condition[name] = this.#operand(name, operand, here);
      }
      return condition;
    });
  }

  #operand(name: string, value: unknown, path: string): unknown {
    switch (name) {
      case '$gt':
      case '$gte':
      case '$lt':
      case '$lte':
        if (typeof value !== 'number' && typeof value !== 'string') {
          refuse(path, 'a number or a string', value);
        }
        return this.#value(value, path);
      case '$in':
      case '$nin':
        return this.#values(value, path);
      case '$all': {
        const values = this.#values(value, path);
        return values.length > 0 ? values : refuse(path, 'a non-empty array', value);
      }
      case '$exists':
        return typeof value === 'boolean' ? value : refuse(path, 'true or false', value);
      case '$size':
        return this.#whole(value, path, 0);
      case '$mod':
        return this.#modulus(value, path);
      case '$type':
        return this.#types(value, path);
      case '$not':
        if (!isPlain(value) || Object.keys(value).length === 0) {
          refuse(path, 'an object of operators', value);
        }
        return this.#operators(value, path);
      case '$elemMatch':
        return this.#element(value, path);
      default:
        return this.#value(value, path);
    }
  }

  #whole(value: unknown, path: string, least: number): number {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
    return refuse(path, least === 0 ? 'a whole number from 0 up' : 'a whole number', value);
  }

  #modulus(value: unknown, path: string): [divisor: number, remainder: number] {
    const pair = this.#list(value, path, (part, at) => this.#whole(part, at, -Infinity));
    const [divisor, remainder] = pair;
    if (pair.length !== 2 || divisor === undefined || remainder === undefined || divisor === 0) {
      return refuse(path, 'a divisor other than 0 and a remainder', value);
    }
    return [divisor, remainder];
  }

  #types(value: unknown, path: string): unknown[] {
    const expected = `one or more of ${TYPE_NAMES.join(', ')}`;
    const read = (name: unknown, at: string): unknown =>
      TYPES.has(name) ? name : refuse(at, expected, name);
    if (!Array.isArray(value)) return [read(value, path)];
    return value.length > 0 ? this.#list(value, path, read) : refuse(path, expected, value);
  }

  #element(value: unknown, path: string): ElementQuery {
    if (!isPlain(value)) refuse(path, 'an object', value);
    const first = Object.keys(value)[0];
    const isOperators = first !== undefined && first.startsWith('$') && !LOGICAL.has(first);
    return isOperators
      ? { condition: this.#operators(value, path) }
      : { query: this.query(value, path) };
  }

  /** A copy of JSON data without operators in it. */
  #value(value: unknown, path: string): unknown {
    if (++this.#count > MAX_VALUES) {
      throw invalid(`${path}: expected at most ${MAX_VALUES} values in a filter, got more`);
    }
    switch (typeof value) {
      case 'string':
      case 'boolean':
        return value;
      case 'number':
        return Number.isFinite(value) ? value : refuse(path, 'a finite number', value);
      case 'object':
        if (value === null) return null;
        return Array.isArray(value) ? this.#values(value, path) : this.#object(value, path);
      default:
        return refuse(path, 'JSON data', value);
    }
  }

  #object(value: object, path: string): object {
    if (tagOf(value) === 'Date') {
      refuse(path, 'JSON data (for a date, the number or ISO string in the metadata)', value);
    }
    if (tagOf(value) === 'RegExp') {
      refuse(path, 'JSON data (regular expressions can take time without bound)', value);
    }
    return this.#inside(value, path, () => {
      const copy: { [key: string]: unknown } = {};
      for (const [key, part] of this.#entries(value, path)) {
        const here = `${path}.${key}`;
        if (key.startsWith('$') || FORBIDDEN.has(key)) {
          throw invalid(
            `${here}: expected a field of a value to compare with, got ${JSON.stringify(key)}; ` +
              'to test a field inside an object, use a dotted path',
          );
        }
        copy[key] = this.#value(part, here);
      }
      return copy;
    });
  }

  #values(value: unknown, path: string): unknown[] {
    return this.#list(value, path, (part, at) => this.#value(part, at));
  }

  #list<T>(value: unknown, path: string, read: (part: unknown, path: string) => T): T[] {
    if (!Array.isArray(value)) return refuse(path, 'an array', value);
    return this.#inside(value, path, () =>
      // By index: holes count as undefined, which read refuses.
      Array.from({ length: value.length }, (_, i) => read(value[i], `${path}[${i}]`)),
    );
  }

  #entries(value: unknown, path: string): Entry[] {
    if (!isPlain(value)) return refuse(path, 'a plain object', value);
    if (Object.getOwnPropertySymbols(value).length > 0) refuse(path, 'string keys', Symbol());
    const entries: Entry[] = Object.entries(value);
    this.#keys += entries.length;
    if (this.#keys > MAX_KEYS) {
      throw invalid(`${path}: expected at most ${MAX_KEYS} keys in a filter, got ${this.#keys}`);
    }
    return entries;
  }

  #inside<T>(value: unknown, path: string, read: () => T): T {
    if (typeof value !== 'object' || value === null) return read();
    if (this.#open.has(value)) throw invalid(`${path}: expected JSON data, got a cycle`);
    if (this.#open.size === MAX_DEPTH) {
      throw invalid(`${path}: expected at most ${MAX_DEPTH} levels, got more`);
    }
    this.#open.add(value);
    const result = read();
    this.#open.delete(value);
    return result;
  }

  #unknown(name: string, path: string, known: ReadonlySet<string>): SealvecError {
    const reason = REFUSED.get(name);
    const why = reason === undefined ? 'unknown operator' : `refused: ${reason}`;
    const other = CONDITIONS.has(name) || LOGICAL.has(name) ? 'operator out of place' : why;
    return invalid(`${path}: ${other}; expected ${[...known].join(', ')}, got ${name}`);
  }
}
