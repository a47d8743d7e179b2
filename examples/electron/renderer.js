// The page: it searches the main process's notes over the bridge, and its own in IndexedDB.
import { Client } from './sealvec/browser.js';
import { Notes } from './notes.js';

const { desk } = globalThis;
const element = (id) => document.getElementById(id);

const indexKey = new Uint8Array(await desk.key());
const own = await Notes.open(new Client({ storage: 'vectors' }), indexKey);
indexKey.fill(0); // the index has a copy, in the memory of its core
const places = { files: desk, page: own };

/** Runs work on what a form holds, and says how it ended. */
function onSubmit(id, work) {
  element(id).addEventListener('submit', async (event) => {
    event.preventDefault();
    const { text, place } = Object.fromEntries(new FormData(event.target));
    try {
      element('state').textContent = await work(text, place);
    } catch (error) {
      element('state').textContent = error.message;
    }
  });
}

onSubmit('add', async (text, place) => {
  await places[place].add(text);
  element('add').reset();
  return 'Added.';
});

onSubmit('search', async (text) => {
  const found = (await Promise.all([desk.search(text), own.search(text)])).flat();
  found.sort((a, b) => a.distance - b.distance);
  element('found').replaceChildren(...found.map((note) => {
    const line = document.createElement('li');
    line.textContent = `${note.text} (${note.distance.toFixed(3)})`;
    return line;
  }));
  return `${found.length} found.`;
});
