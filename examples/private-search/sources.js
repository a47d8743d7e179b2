// Where texts come from. Each source gives documents: { name, title, text }, and the arXiv set also
// { vector }, made by gte-small.
const MOST_BYTES = 4 << 20;
const TEXT_NAMES = /\.(txt|text|md|markdown|rst|org|tex|csv|tsv|json|log|html?|eml|srt|vtt)$/i;

const isText = ({ name, type }) => type.startsWith('text/') || TEXT_NAMES.test(name);

const titleOf = (text, fallback) =>
  (/\S.*/.exec(text)?.[0] ?? fallback).replace(/^[#\s]+/, '').trim().slice(0, 120) || fallback;

/** Documents of files, and how many were left out as not text, or too large. */
export async function fromFiles(files) {
  const documents = [];
  let skipped = 0;
  for (const { file, path } of files) {
    if (!isText(file) || file.size > MOST_BYTES) {
      skipped++;
      continue;
    }
    documents.push({ name: `file/${path}`, title: path, text: await file.text() });
  }
  return { documents, skipped };
}

/** The files of an input element. */
export const chosenFiles = (input) =>
  [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

/** The files of a drop, folders walked through. */
export async function droppedFiles({ items }) {
  // Entries have to be taken before anything is awaited.
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const files = [];
  for (const entry of entries) await walk(entry, files);
  return files;
}

const called = (object, method) =>
  new Promise((resolve, reject) => { object[method](resolve, reject); });

async function walk(entry, files) {
  if (entry.isFile) {
    files.push({ file: await called(entry, 'file'), path: entry.fullPath.slice(1) });
    return;
  }
  const reader = entry.createReader();
  // A folder is read in portions; an empty one is the last.
  for (let found; (found = await called(reader, 'readEntries')).length > 0;) {
    for (const child of found) await walk(child, files);
  }
}

/** Notes are set apart by empty lines; the same note twice is one document. */
export async function fromNotes(text) {
  const notes = text.split(/\n\s*\n/).map((note) => note.trim()).filter(Boolean);
  return Promise.all(notes.map(async (note) => {
    const bytes = new Uint8Array(
      await crypto.subtle.digest('SHA-256', new TextEncoder().encode(note)),
    );
    const name = [...bytes.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0'));
    return { name: `note/${name.join('')}`, title: titleOf(note, 'Note'), text: note };
  }));
}

async function unzipped(name) {
  const response = await fetch(new URL(`../data/${name}`, import.meta.url));
  if (!response.ok) throw new Error(`${name} could not be fetched: status ${response.status}`);
  return new Response(response.body.pipeThrough(new DecompressionStream('gzip')));
}

/** Rows of a NumPy file of float32 in C order; examples/read-npy.js reads the others. */
async function readRows(name) {
  const buffer = await (await unzipped(name)).arrayBuffer();
  const view = new DataView(buffer);
  const start = 10 + view.getUint16(8, true);
  const header = new TextDecoder('latin1').decode(new Uint8Array(buffer, 10, start - 10));
  const [, count, dimension] =
    /'<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(header)?.map(Number) ?? [];
  if (!count) throw new Error(`${name} is not a table of float32`);
  const data = new Float32Array(buffer.slice(start));
  return Array.from({ length: count }, (_, i) => data.slice(i * dimension, (i + 1) * dimension));
}

/** The shipped abstracts, with the vectors that gte-small made of them. */
export async function fromArxiv() {
  const items = await (await unzipped('arxiv-1k.json.gz')).json();
  const vectors = await readRows('arxiv-1k.npy.gz');
  return items.map(({ id, title, abstract }, i) =>
    ({ name: id, title, text: abstract, vector: vectors[i] }));
}
