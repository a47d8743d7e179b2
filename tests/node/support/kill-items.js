// What the killed child writes and the parent expects.
export const ROWS = 20_000;
export const DIMENSION = 16;
export const KILL_KEY = new Uint8Array(32).fill(77);

/** The item of a number in a version: everything in it follows from the two. */
export function makeItem(number, version) {
  const vector = Array.from({ length: DIMENSION }, (_, i) =>
    Math.fround(Math.sin(number * 12.9898 + i * 78.233 + version * 0.37)));
  return { id: `id-${number}`, vector, metadata: { version }, contents: `${number}/${version}` };
}
