// The built-in embedder: no model, no network. Words, and runs of 3 to 5 letters in them, are
// hashed to one of DIMENSION places with a sign (the hashing trick), weighted by 1 + log(count),
// and the whole brought to length 1. So texts are near that share words, parts of words, or
// spellings.
import { COMMON, wordsOf } from './passages.js';

const DIMENSION = 384;
const RUNS = [3, 4, 5];
/** Weight of one run of letters; a word has many. */
const RUN_WEIGHT = 0.3;
/** Texts between two breaths of the page. */
const BATCH = 32;

/** FNV-1a of 32 bits over UTF-16 units, then mixed, so that every bit depends on every letter. */
function hash(text) {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  }
  state = Math.imul(state ^ (state >>> 16), 0x45d9f3b);
  return (state ^ (state >>> 15)) >>> 0;
}

/** How often each feature occurs; the first letter of a feature tells its kind. */
function featuresOf(text) {
  const counts = new Map();
  const count = (feature) => counts.set(feature, (counts.get(feature) ?? 0) + 1);
  for (const word of wordsOf(text)) {
    if (COMMON.has(word)) continue;
    count(`w${word}`);
    const padded = `<${word}>`;
    for (const length of RUNS) {
      for (let at = 0; at + length <= padded.length; at++) {
        count(`r${padded.slice(at, at + length)}`);
      }
    }
  }
  return counts;
}

export function embedText(text) {
  const vector = new Float32Array(DIMENSION);
  for (const [feature, count] of featuresOf(text)) {
    const bits = hash(feature);
    const weight = (1 + Math.log(count)) * (feature[0] === 'w' ? 1 : RUN_WEIGHT);
    vector[(bits >>> 1) % DIMENSION] += bits & 1 ? weight : -weight;
  }
  const length = Math.hypot(...vector);
  // A text without a word is like no other more than like any.
  if (length === 0) return vector.fill(1 / Math.sqrt(DIMENSION));
  return vector.map((x) => x / length);
}

export const hashed = {
  name: 'hashed',
  dimension: DIMENSION,
  async embed(texts) {
    const vectors = [];
    for (const [i, text] of texts.entries()) {
      if (i > 0 && i % BATCH === 0) await new Promise((resolve) => { setTimeout(resolve); });
      vectors.push(embedText(text));
    }
    return vectors;
  },
};
