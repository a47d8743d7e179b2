// A stand-in for a model, so that the example needs none: letters in threes, hashed into a vector.
export const DIMENSION = 256;

export function embed(text) {
  const vector = new Float32Array(DIMENSION);
  const padded = ` ${text.toLowerCase()} `;
  for (let i = 0; i + 3 <= padded.length; i++) {
    let hash = 0;
    for (const letter of padded.slice(i, i + 3)) {
      hash = (Math.imul(hash, 31) + letter.codePointAt(0)) >>> 0;
    }
    vector[hash % DIMENSION] += 1;
  }
  return vector;
}
