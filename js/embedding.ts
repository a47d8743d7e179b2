/** Texts become vectors by the caller's function, whose answer is checked like any argument. */
import { copyVectors, namedList, type Queries, type VectorRows } from './vectors.js';
import type { Embed } from '../types/api.js';

/** How errors call what the function returned. */
export const EMBEDDED = namedList('embed');

/** One vector for each text, of dimension `known` unless that is 0. */
export async function embedTexts(
  embed: Embed | undefined, texts: readonly string[], known: number,
): Promise<VectorRows> {
  if (!embed || texts.length === 0) return { values: new Float32Array(), count: 0, dimension: 0 };
  return copyVectors(EMBEDDED, await embed([...texts]), texts.length, known, 'text');
}

/** The queries that texts stand for. */
export async function embedQueries(
  embed: Embed | undefined, texts: readonly string[], listed: boolean, known: number,
): Promise<Queries> {
  const rows = await embedTexts(embed, texts, known);
  return { rows, form: listed ? 'many' : 'one', naming: EMBEDDED };
}
