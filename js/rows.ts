/** From the checked items of an upsert to the rows of the index they go to. */
import type { Core } from './core.js';
import { EMBEDDED } from './embedding.js';
import type { Columns, Rows } from './items.js';
import type { IndexConfig } from './manifest.js';
import { checkVectors, type VectorRows } from './vectors.js';

/** Puts the vectors that were given and those that were embedded where their rows are. */
function joinVectors(columns: Columns, embedded: VectorRows): VectorRows {
  const { vectors, given, missing, ids } = columns;
  if (missing.length === 0) return vectors;
  if (given.length === 0) return embedded;
  const { dimension } = embedded;
  const values = new Float32Array(ids.length * dimension);
  const place = (from: VectorRows, rows: readonly number[]): void => rows.forEach((row, i) => {
    values.set(from.values.subarray(i * dimension, (i + 1) * dimension), row * dimension);
  });
  place(vectors, given);
  place(embedded, missing);
  return { values, count: ids.length, dimension };
}

/** The rows of an upsert, checked against the index they go to. */
export function toRows(
  core: Core, config: IndexConfig, columns: Columns, embedded: VectorRows,
): Rows {
  const { ids, metadata, contents, vectors: given, naming } = columns;
  const { precision } = config;
  if (given.count > 0) checkVectors(core, naming, given, config, precision);
  if (embedded.count > 0) checkVectors(core, EMBEDDED, embedded, config, precision);
  const { values, dimension } = joinVectors(columns, embedded);
  return { ids, metadata, contents, vectors: values, dimension };
}
