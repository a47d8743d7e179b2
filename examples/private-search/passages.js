// Texts are cut into passages of a few sentences: a vector stands for one thought better than for
// ten.
const MOST = 320;
/** A longer sentence is cut between words. */
const LONGEST = 600;

const segmenter = new Intl.Segmenter(undefined, { granularity: 'sentence' });

/** A run of text in pieces no longer than LONGEST, cut at a space where there is one. */
function* pieces(text) {
  let rest = text;
  while (rest.length > LONGEST) {
    const space = rest.lastIndexOf(' ', LONGEST);
    const end = space > 0 ? space : LONGEST;
    yield rest.slice(0, end);
    rest = rest.slice(end).trimStart();
  }
  if (rest) yield rest;
}

/** The passages of a text, in order; none crosses an empty line. */
export function passagesOf(text) {
  const passages = [];
  for (const paragraph of text.split(/\n\s*\n/)) {
    let passage = '';
    const flush = () => {
      if (passage) passages.push(passage);
      passage = '';
    };
    for (const { segment } of segmenter.segment(paragraph.replace(/\s+/g, ' ').trim())) {
      for (const piece of pieces(segment.trim())) {
        if (passage.length + piece.length >= MOST) flush();
        passage = passage ? `${passage} ${piece}` : piece;
      }
    }
    flush();
  }
  return passages;
}

/** Lower-case words of a text, in any script. */
export const wordsOf = (text) =>
  text.normalize('NFKC').toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** English words that say little about what a text is about. */
export const COMMON = new Set(
  ('a about after all also an and any are as at be been but by can do does for from had has have ' +
    'he her his how i if in into is it its may me more most my no not of on one only or other ' +
    'our over s she show so some such t than that the their them then there these they this ' +
    'those to two under up us use used using very was we were what when where which while who ' +
    'will with would you your').split(' '),
);
