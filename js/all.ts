/**
 * The results of all, like Promise.all; but when one rejects, this does only once none of them is
 * at work any more, so that what they use can be freed.
 */
export async function allOf<const T extends readonly Promise<unknown>[]>(
  work: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  const settled = await Promise.allSettled(work);
  const results = settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value as unknown;
  });
  return results as { -readonly [K in keyof T]: Awaited<T[K]> };
}
