/** From the recall that a query asks for to the stop ratio that finds it. */

/** Stop ratios (`struct sv_scan`) that find a share of the 10 and of the 100 nearest. */
export interface RecallCurve {
  readonly recall: readonly number[];
  readonly at10: readonly number[];
  readonly at100: readonly number[];
}

/** The value at x between the points (xs ascending), Infinity beyond them. */
function interpolate(xs: readonly number[], ys: readonly number[], x: number): number {
  const at = xs.findIndex((value) => value >= x);
  if (at < 0) return Infinity;
  const [low, high] = [xs[Math.max(at - 1, 0)] ?? 0, xs[at] ?? 0];
  const share = high > low ? (x - low) / (high - low) : 1;
  return (ys[Math.max(at - 1, 0)] ?? 0) * (1 - share) + (ys[at] ?? 0) * share;
}

/**
 * The stop ratio that finds this share of the topK nearest: as measured for 10 and for 100, between
 * them on a logarithmic scale, beyond 100 growing as its root; infinite for all.
 */
export function stopRatio(
  { recall, at10, at100 }: RecallCurve, targetRecall: number, topK: number,
): number {
  if (targetRecall >= 1) return Infinity;
  const ten = interpolate(recall, at10, targetRecall);
  const hundred = interpolate(recall, at100, targetRecall);
  if (topK <= 10 || ten === Infinity || hundred === Infinity) return topK <= 10 ? ten : hundred;
  if (topK >= 100) return hundred * Math.sqrt(topK / 100);
  return ten + (hundred - ten) * Math.log10(topK / 10);
}
