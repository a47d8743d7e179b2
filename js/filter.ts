import { createQueryTester } from 'sift/es/index.js';
import { compare, operations } from './filter-operations.js';
import { type Query, readFilter } from './filter-reader.js';

/**
 * compileFilter turns a MongoDB-style filter into a test of one item's
 * metadata. The filter is checked and copied first, so that nothing done to it
 * later, and nothing it inherits, matters; no operator runs code of the caller.
 *
 * Values compare only with values of their type, strings by UTF-16 code unit
 * and objects whatever the order of their keys. A path enters the elements of
 * an array; null matches what is missing. Throws INVALID_ARGUMENT.
 *
 * @example
 * const matches = compileFilter({ year: { $gte: 2020 }, 'author.name': 'Ada' });
 * matches({ year: 2021, author: { name: 'Ada' } }); // true
 */
export function compileFilter(filter: unknown): (metadata: object | undefined) => boolean {
  return compileQuery(readFilter(filter));
}

/** The test of a filter that has been checked. */
export function compileQuery(query: Query): (metadata: object | undefined) => boolean {
  const test = createQueryTester<object>(query, { operations, compare });
  return (metadata) => test(metadata ?? {});
}
