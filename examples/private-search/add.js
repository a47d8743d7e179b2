// Texts go in: cut into passages, embedded, encrypted.
import { $ } from './dom.js';
import { passagesOf } from './passages.js';
import { watch } from './progress.js';
import { chosenFiles, droppedFiles, fromArxiv, fromFiles, fromNotes } from './sources.js';
import { attempt, counted, say, size, whole } from './words.js';

/** Passages per commit. */
const BATCH = 512;

/** One row per passage; per document where it comes with a vector of this embedder. */
function rowsOf({ name, title, text, vector }, embedder) {
  const row = (number, contents) =>
    ({ id: `${name}#${String(number).padStart(5, '0')}`, title, contents });
  if (vector && embedder.name === 'gte-small') return [{ ...row(0, text), vector }];
  return passagesOf(text).map((passage, number) => row(number, passage));
}

async function toItems(rows, embedder) {
  const without = rows.filter(({ vector }) => !vector);
  const texts = without.map(({ title, contents }) => `${title}\n${contents}`);
  const vectors = await embedder.embed(texts);
  const made = new Map(without.map((row, i) => [row, vectors[i]]));
  return rows.map((row) => ({
    id: row.id, vector: row.vector ?? made.get(row), contents: row.contents,
    metadata: { title: row.title },
  }));
}

/** Passages that earlier versions of these documents had and these do not. */
async function staleIds(index, documents, rows) {
  const names = new Set(documents.map(({ name }) => name));
  const current = new Set(rows.map(({ id }) => id));
  const { ids } = await index.listIds();
  return ids.filter((id) => !current.has(id) && names.has(id.slice(0, id.lastIndexOf('#'))));
}

/** Upserts documents; answers how many passages they made. */
async function addDocuments({ index, embedder }, documents, { onProgress, signal }) {
  const rows = documents.flatMap((document) => rowsOf(document, embedder));
  for (let from = 0; from < rows.length; from += BATCH) {
    const batch = rows.slice(from, from + BATCH);
    await index.upsert({ items: await toItems(batch, embedder), signal });
    signal.throwIfAborted();
    const done = from + batch.length;
    const note = `${whole(done)} of ${counted(rows.length, 'passage')} encrypted and stored`;
    onProgress({ fraction: done / rows.length, note });
  }
  const stale = await staleIds(index, documents, rows);
  if (stale.length > 0) await index.delete({ ids: stale });
  return rows.length;
}

export function addPanel(session, changed) {
  const openers = ['choose-files', 'choose-folder', 'add-notes', 'add-arxiv'].map($);
  const enable = (enabled) => openers.forEach((button) => { button.disabled = !enabled; });

  /** Adds what `read` gives; answers whether it went in whole. */
  async function add(opener, read) {
    if ($('add-arxiv').disabled) {
      say('Texts are being added already; wait until that is done, or cancel it.');
      return false;
    }
    enable(false);
    say('');
    const work = async (watched) => {
      const { documents, skipped = 0 } = await read();
      return { documents, skipped, passages: await addDocuments(session, documents, watched) };
    };
    const how = { label: 'Adding texts', opener };
    const done = await attempt(async () => {
      const added = await watch($('add-progress'), how, work);
      say(added ? summary(added) : 'Stopped. What was stored until then is in the index.');
      return added;
    });
    enable(true);
    await attempt(changed);
    return done !== undefined;
  }

  for (const [opener, input] of [['choose-files', 'files'], ['choose-folder', 'folder']]) {
    $(opener).addEventListener('click', () => $(input).click());
    $(input).addEventListener('change', async () => {
      // Taken at once, so that what is chosen next is not cleared with them.
      const files = chosenFiles($(input));
      $(input).value = '';
      await add($(opener), () => fromFiles(files));
    });
  }
  $('notes-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    if ($('notes').value.trim() === '') {
      say('Write or paste something first.');
      return;
    }
    const text = $('notes').value;
    const read = async () => ({ documents: await fromNotes(text) });
    if (await add($('add-notes'), read) && $('notes').value === text) $('notes').value = '';
  });
  $('add-arxiv').addEventListener('click', () =>
    add($('add-arxiv'), async () => ({ documents: await fromArxiv() })));
  takeDrops((files) => add($('choose-files'), async () => fromFiles(await files)));

  return async () => {
    const { count, storedBytes } = await session.index.stats();
    $('count').textContent = count === 0
      ? 'Nothing yet. What you add is encrypted before it is stored, and stays in this browser.'
      : `${counted(count, 'passage')}, ${size(storedBytes)}, encrypted.`;
  };
}

function summary({ documents, skipped, passages }) {
  const left = skipped > 0
    ? ` ${counted(skipped, 'file')} left out: not text, or over 4 MB.` : '';
  return `Added ${counted(documents.length, 'text')} as ${counted(passages, 'passage')}.${left}`;
}

/** The whole page takes drops, so that a near miss does not open the file in its place. */
function takeDrops(add) {
  const area = $('drop');
  const over = (event, is) => {
    event.preventDefault();
    area.classList.toggle('over', is);
  };
  document.addEventListener('dragover', (event) => over(event, true));
  document.addEventListener('dragleave', (event) => over(event, false));
  document.addEventListener('drop', (event) => {
    over(event, false);
    add(droppedFiles(event.dataTransfer));
  });
}
