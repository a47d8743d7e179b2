import {
  $and,
  $eq,
  $gt,
  $gte,
  $in,
  $lt,
  $lte,
  $ne,
  $nor,
  $or,
  createQueryOperation,
} from 'sift/es/index.js';

/**
 * The operations a filter is run by. Comparison and logic are sift's; these are
 * our own, since sift's differ from MongoDB's or are not safe here:
 *
 * 1. $field follows a path through own properties only, so that `a.length` or
 *    `a.toString` never reach what arrays, strings and objects inherit, and
 *    through one level of array at a time. (sift follows any property and
 *    flattens arrays in arrays.)
 * 2. $nin, $not, $all, $size, $elemMatch, $mod, $type and $exists treat a path
 *    that leads nowhere, an array in an array and a value of another type as
 *    MongoDB does. (sift's `$mod` takes `'7'` and null for numbers; its `$not`
 *    and `$nin` fail where a path enters an empty array.)
 * 3. Objects are equal when they have the same keys. (To sift a key that one of
 *    them lacks is null in both: `{ a: null }` equals `{ b: 1 }`.)
 * 4. $where and $regex are not there: code, and time without bound.
 */

/** What sift asks of an operation. */
interface Operation {
  readonly propop: boolean;
  keep: boolean;
  done: boolean;
  reset(): void;
  next(item: unknown, key?: Key, owner?: unknown): void;
}

type Key = string | number;
type Options = NonNullable<Parameters<typeof createQueryOperation>[2]>;

/** Operators of one value, each with its operand: `{ $gte: 1, $lt: 5 }`. */
export type Condition = { readonly [operator: string]: unknown };

export interface FieldQuery {
  readonly parts: readonly string[];
  readonly condition: Condition;
}

/** What one element of an array has to meet: a condition, or as an object a query. */
export type ElementQuery = { readonly condition: Condition } | { readonly query: object };

export type TypeName = 'array' | 'bool' | 'null' | 'number' | 'object' | 'string';

/** Owner of a value that is not an element of an array. */
const NO_ARRAY = Object.freeze({});

const INDEX = /^(?:0|[1-9]\d{0,9})$/;

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function areEqual(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((element, i) => areEqual(element, b[i]));
  }
  if (isObject(a) && isObject(b)) {
    const keys = Object.keys(a);
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && areEqual(a[key], b[key]))
    );
  }
  return a === b;
}

/** compare is how $eq, $ne, $in and $all compare; a missing value is null to them. */
export function compare(a: unknown, b: unknown): boolean {
  return areEqual(a ?? null, b ?? null);
}

type Visit = (value: unknown, key: Key, owner: unknown) => void;

/** Visits every value that a path leads to, and the elements of those that are arrays. */
function follow(value: unknown, parts: readonly string[], at: number, visit: Visit): void {
  const part = parts[at];
  if (part === undefined) {
    if (Array.isArray(value)) value.forEach((element, i) => visit(element, i, value));
    visit(value, 'value', NO_ARRAY);
  } else if (Array.isArray(value)) {
    const isIndex = INDEX.test(part);
    if (isIndex && Number(part) < value.length) follow(value[Number(part)], parts, at + 1, visit);
    for (const element of value) {
      if (isObject(element) && (!isIndex || Object.hasOwn(element, part))) {
        follow(element, parts, at, visit);
      }
    }
  } else if (isObject(value) && Object.hasOwn(value, part)) {
    follow(value[part], parts, at + 1, visit);
  } else {
    visit(undefined, 'value', NO_ARRAY);
  }
}

/** Holds when all of its operations do, each on whichever of the values it likes. */
class Every implements Operation {
  readonly propop = true;
  readonly #all: readonly Operation[];
  keep = false;
  done = false;

  constructor(all: readonly Operation[]) {
    this.#all = all;
  }

  reset(): void {
    for (const operation of this.#all) operation.reset();
    this.#settle();
  }

  next(item: unknown, key?: Key, owner?: unknown): void {
    for (const operation of this.#all) {
      if (!operation.done) operation.next(item, key, owner);
    }
    this.#settle();
  }

  #settle(): void {
    this.keep = this.#all.every((operation) => operation.keep);
    this.done = this.#all.every((operation) => operation.done);
  }
}

function everyOf(condition: Condition, options: Options): Every {
  return new Every(
    Object.entries(condition).map(([name, operand]) => {
      const create = table[name as keyof typeof table];
      return create(operand as never, condition, options as never, name) as Operation;
    }),
  );
}

class Field implements Operation {
  readonly propop = false;
  readonly #parts: readonly string[];
  readonly #every: Every;
  keep = false;
  done = false;

  constructor({ parts, condition }: FieldQuery, options: Options) {
    this.#parts = parts;
    this.#every = everyOf(condition, options);
  }

  reset(): void {
    this.keep = false;
    this.done = false;
  }

  next(item: unknown): void {
    const every = this.#every;
    every.reset();
    follow(item, this.#parts, 0, (value, key, owner) => every.next(value, key, owner));
    this.keep = every.keep;
    this.done = true;
  }
}

class Not implements Operation {
  readonly propop = true;
  readonly #every: Every;
  keep = false;
  done = false;

  constructor(condition: Condition, options: Options) {
    this.#every = everyOf(condition, options);
  }

  reset(): void {
    this.#every.reset();
    this.#settle();
  }

  next(item: unknown, key?: Key, owner?: unknown): void {
    this.#every.next(item, key, owner);
    this.#settle();
  }

  #settle(): void {
    this.keep = !this.#every.keep;
    this.done = this.#every.done;
  }
}

/** Holds, or with `not` fails, once any of the values passes the test. */
class Some implements Operation {
  readonly propop = true;
  readonly #test: (value: unknown, isElement: boolean) => boolean;
  readonly #not: boolean;
  keep = false;
  done = false;

  constructor(test: (value: unknown, isElement: boolean) => boolean, not = false) {
    this.#test = test;
    this.#not = not;
  }

  reset(): void {
    this.keep = this.#not;
    this.done = false;
  }

  next(item: unknown, _key?: Key, owner?: unknown): void {
    if (!this.#test(item, Array.isArray(owner))) return;
    this.keep = !this.#not;
    this.done = true;
  }
}

function elementTest(element: ElementQuery, options: Options): (value: unknown) => boolean {
  if ('condition' in element) {
    const every = everyOf(element.condition, options);
    return (value) => {
      every.reset();
      every.next(value, 'value', NO_ARRAY);
      return every.keep;
    };
  }
  const query = createQueryOperation(element.query, null, options) as unknown as Operation;
  return (value) => {
    if (!isObject(value)) return false;
    query.reset();
    query.next(value);
    return query.keep;
  };
}

function typeOf(value: unknown): TypeName | undefined {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  const type = typeof value;
  if (type === 'boolean') return 'bool';
  return type === 'number' || type === 'string' || type === 'object' ? type : undefined;
}

const table = {
  $and,
  $or,
  $nor,
  $eq,
  $ne,
  $gt,
  $gte,
  $lt,
  $lte,
  $in,
  $field: (field: FieldQuery, _parent: unknown, options: Options) => new Field(field, options),
  $nin: (values: readonly unknown[], _parent: unknown, options: Options) =>
    new Not({ $in: values }, options),
  $not: (condition: Condition, _parent: unknown, options: Options) => new Not(condition, options),
  $all: (values: readonly unknown[], parent: unknown, options: Options) =>
    new Every(values.map((value) => $eq(value, parent as never, options as never) as Operation)),
  $exists: (wanted: boolean) => new Some((value) => value !== undefined, !wanted),
  $size: (size: number) =>
    new Some((value, isElement) => !isElement && Array.isArray(value) && value.length === size),
  $elemMatch: (element: ElementQuery, _parent: unknown, options: Options) => {
    const test = elementTest(element, options);
    return new Some((value, isElement) => !isElement && Array.isArray(value) && value.some(test));
  },
  $mod: ([divisor, remainder]: readonly [number, number]) =>
    new Some((value) => typeof value === 'number' && Math.trunc(value) % divisor === remainder),
  $type: (names: readonly TypeName[]) =>
    new Some((value) => {
      const type = typeOf(value);
      return type !== undefined && names.includes(type);
    }),
};

/** The operations table for sift; the operands have been checked by then. */
export const operations: NonNullable<Options['operations']> = table;
