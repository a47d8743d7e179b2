// What a page downloads, against the limits that are promised: `make size`.
import fs from 'node:fs';
import zlib from 'node:zlib';

const LIMITS = [
  ['sealvec.wasm', 100_000],
  ['browser.js', 20_000],
  ['training-worker.js', 10_000],
];

for (const [name, limit] of LIMITS) {
  const bytes = fs.readFileSync(new URL(`../../dist/${name}`, import.meta.url));
  const gzip = zlib.gzipSync(bytes, { level: 9 }).length;
  const over = gzip > limit;
  const sizes = `${String(bytes.length).padStart(7)} bytes ${String(gzip).padStart(7)} gzip`;
  console.log(`${name.padEnd(20)} ${sizes}  limit ${limit}${over ? '  TOO LARGE' : ''}`);
  if (over) process.exitCode = 1;
}
