// What a page downloads, against the limits that are promised: `make size`.
import fs from 'node:fs';
import zlib from 'node:zlib';

/** Files that a page loads, and what they may come to. */
const LIMITS = [
  ['the core', 'sealvec.wasm', 100_000],
  ['the entry', 'browser.js', 20_000],
  ['the worker', 'training-worker.js', 10_000],
];

const read = (name) => fs.readFileSync(new URL(`../../dist/${name}`, import.meta.url));

const AT_ONCE = /(?:from|import)"\.\/([\w.-]+)"/g;
const LATE = /import\("\.\/([\w.-]+)"\)/g;

/** A file and all that it imports at once; also all that it imports later, when asked to. */
function withImports(name, later = false, seen = new Set()) {
  if (seen.has(name)) return seen;
  seen.add(name);
  if (!name.endsWith('.js')) return seen;
  const text = String(read(name));
  for (const [, other] of text.matchAll(AT_ONCE)) withImports(other, later, seen);
  if (later) for (const [, other] of text.matchAll(LATE)) withImports(other, later, seen);
  return seen;
}

/** The files that a page has loaded once it has used these; each is compressed for itself. */
function measure(names) {
  const files = [...names];
  const sum = (size) => files.reduce((total, name) => total + size(read(name)), 0);
  const gzip = sum((bytes) => zlib.gzipSync(bytes, { level: 9 }).length);
  return { files: files.length, bytes: sum((bytes) => bytes.length), gzip };
}

function report(what, { files, bytes, gzip }, note) {
  const sizes = `${String(bytes).padStart(7)} bytes ${String(gzip).padStart(7)} gzip`;
  const count = files === 1 ? '1 file ' : `${files} files`;
  console.log(`${what.padEnd(22)} ${sizes}  ${count}  ${note}`);
}

for (const [what, name, limit] of LIMITS) {
  const size = measure(withImports(name));
  const over = size.gzip > limit;
  report(what, size, `limit ${limit}${over ? '  TOO LARGE' : ''}`);
  if (over) process.exitCode = 1;
}

const entry = withImports('browser.js');
const parts = [...withImports('browser.js', true)].filter((name) => /^(?!chunk)[a-z]+-/.test(name));
for (const name of parts) {
  const files = [...withImports(name)].filter((file) => !entry.has(file));
  report(`later: ${name.split('-')[0]}`, measure(files), 'with what it shares');
}
