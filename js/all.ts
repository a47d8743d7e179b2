/**
 * The results of all, like Promise.all; but when one rejects, this does only once none of them is
 * at work any more, so that what they use can be freed.
 */
export async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const settled = await Promise.allSettled(work);
  const results: T[] = [];
  for (const result of settled) {
    if (result.status === 'rejected') throw result.reason;
    results.push(result.value);
  }
  return results;
}
