// Search as one types: one query in flight, the newest text next, none in between.
import { $, h } from './dom.js';
import { COMMON, wordsOf } from './passages.js';
import { attempt, counted, ms, whole } from './words.js';

const PASSAGES = 60;
const SHOWN = 12;

/** Calls work with the newest argument; while it runs, earlier ones are dropped. */
function newestOnly(work) {
  let next;
  let running = false;
  return async (argument) => {
    next = { argument };
    if (running) return;
    running = true;
    while (next) {
      const { argument: current } = next;
      next = undefined;
      await work(current);
    }
    running = false;
  };
}

/** A text with the words of the query marked. */
function marked(text, words) {
  const hit = (part) => {
    const [word] = wordsOf(part);
    return word && words.some((one) => word === one || (one.length > 3 && word.startsWith(one)));
  };
  const parts = text.split(/([\p{L}\p{N}]+)/u);
  return parts.map((part) => (hit(part) ? h('mark', {}, part) : part));
}

/** The best passage of each text, nearest first. */
function byText(results) {
  const texts = new Map();
  for (const item of results) {
    const name = item.id.slice(0, item.id.lastIndexOf('#'));
    if (!texts.has(name)) texts.set(name, item);
  }
  return [...texts.values()].slice(0, SHOWN);
}

function resultItem({ distance, metadata, contents }, words) {
  const likeness = `similarity ${(1 - distance).toFixed(2)}`;
  return h('li', {},
    h('h3', {}, ...marked(metadata.title, words)),
    h('p', { class: 'passage' }, ...marked(contents, words)),
    h('p', { class: 'muted where' }, likeness));
}

export function searchPanel({ index, embedder }) {
  let count = 0;

  function idle() {
    $('results').replaceChildren();
    $('search-note').textContent = count === 0
      ? 'Add some texts first.'
      : `Type a few words: ${counted(count, 'passage')} can be found.`;
  }

  async function search(text) {
    if (text.trim() === '' || count === 0) {
      idle();
      return;
    }
    const started = performance.now();
    const [queryVectors] = await embedder.embed([text]);
    const embedded = performance.now();
    const include = ['distance', 'metadata', 'contents'];
    const found = await index.query({ queryVectors, topK: PASSAGES, include });
    const ended = performance.now();
    const words = wordsOf(text).filter((word) => !COMMON.has(word));
    $('results').replaceChildren(...byText(found.results).map((item) => resultItem(item, words)));
    const how = found.exact
      ? `all ${counted(count, 'passage')} compared`
      : `${whole(found.rowsScanned)} of ${counted(count, 'passage')} compared`;
    const times = [embedded - started, ended - embedded, ended - started].map(ms);
    $('search-note').textContent =
      `Found in ${times[2]}: ${times[0]} to embed, ${times[1]} to decrypt and search; ${how}.`;
  }

  const ask = newestOnly((text) => attempt(() => search(text)));
  $('query').addEventListener('input', () => ask($('query').value));
  return async () => {
    count = await index.count();
    await ask($('query').value);
  };
}
