// Which rows are in which list. A query with nProbes: 1 visits the list nearest to it; how many
// rows it compared is the size of that list, and with that as topK it answers all of it. So a row
// asks for its own list.
import { wordsOf, COMMON } from './passages.js';
import { breathe, sampleIds } from './rows.js';

const SAMPLE = 1_500;
const TOP_WORDS = 3;
/** A word in fewer rows of a list says nothing about it. */
const LEAST_ROWS = 3;

/** A sample of rows by list: [{ size, rows: [{ id, vector, contents }] }], largest first. */
export async function readLists(index) {
  const ids = await sampleIds(index, SAMPLE);
  const rows = await index.get({ ids, include: ['vector', 'contents'] });
  const open = new Map(rows.map((row) => [row.id, row]));
  const lists = [];
  for (const row of rows) {
    if (!open.has(row.id)) continue;
    const own = { queryVectors: row.vector, nProbes: 1 };
    const { rowsScanned: size } = await index.query({ ...own, topK: 1 });
    const { results } = await index.query({ ...own, topK: size });
    const members = results.map(({ id }) => open.get(id)).filter(Boolean);
    // A row that arrived by another way than the nearest list is a list's guest.
    if (!members.includes(row)) members.push(row);
    for (const { id } of members) open.delete(id);
    lists.push({ size, rows: members });
    await breathe();
  }
  return lists.sort((a, b) => b.size - a.size);
}

function wordCounts(rows) {
  const counts = new Map();
  for (const { contents } of rows) {
    for (const word of new Set(wordsOf(contents))) {
      if (word.length > 2 && !COMMON.has(word)) counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return counts;
}

/** The words of each list that are most its own. */
export function nameLists(lists) {
  const all = lists.flatMap(({ rows }) => rows);
  const everywhere = wordCounts(all);
  return lists.map(({ rows }) => {
    const weigh = ([word, count]) => {
      const share = count / rows.length;
      return [word, share * Math.log(share / (everywhere.get(word) / all.length)) ** 2];
    };
    const known = [...wordCounts(rows)].filter(([, count]) => count >= LEAST_ROWS);
    const ranked = known.map(weigh).sort(([, a], [, b]) => b - a);
    return ranked.slice(0, TOP_WORDS).map(([word]) => word);
  });
}
