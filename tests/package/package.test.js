// The package as its users get it: packed, installed in an empty project, imported, required and
// compiled against by a strict TypeScript project that has no DOM library and no Node types.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bin = (name) => path.join(root, 'node_modules/.bin', name);
let project;
let tarball;

/** Runs a program and returns what it prints; when it fails, the error has its output. */
function run(program, args, cwd = project) {
  try {
    return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    throw new Error(`${program} ${args.join(' ')}\n${error.stdout}${error.stderr}`);
  }
}

const write = (name, text) => fs.writeFileSync(path.join(project, name), text);

before(() => {
  project = fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-package-'));
  const options = ['--json', '--ignore-scripts', '--pack-destination', project];
  const packed = run('npm', ['pack', ...options], root);
  tarball = path.join(project, JSON.parse(packed)[0].filename);
  write('package.json', '{ "private": true }');
  run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball]);
});

after(() => fs.rmSync(project, { recursive: true, force: true }));

const USE = `
  const client = new Client({ storage: memoryStorage() });
  const index = await client.createIndex({ indexName: 'notes', indexKey: generateKey() });
  await index.upsert({ ids: ['a', 'b'], vectors: [[0, 1], [1, 0]] });
  const { results } = await index.query({ queryVectors: [0, 0.9], topK: 1 });
  await client.close();
  console.log(results[0].id);`;

test('works when imported', () => {
  write('use.mjs', `import { Client, generateKey, memoryStorage } from 'sealvec';${USE}`);
  assert.equal(run('node', ['use.mjs']).trim(), 'a');
});

test('works when required', () => {
  write(
    'use.cjs',
    `const { Client, generateKey, memoryStorage } = require('sealvec');(async () => {${USE}})();`,
  );
  assert.equal(run('node', ['use.cjs']).trim(), 'a');
});

test('gives import and require the same names', () => {
  const [imported, required] = [
    `import * as all from 'sealvec'; console.log(Object.keys(all).sort().join());`,
    `import { createRequire } from 'node:module';
     console.log(Object.keys(createRequire(import.meta.url)('sealvec')).sort().join());`,
  ].map((code) => run('node', ['--input-type=module', '-e', code]).trim());
  assert.equal(required, imported);
});

test('resolves every entry it exports', () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  for (const entry of Object.keys(manifest.exports)) {
    const name = path.posix.join('sealvec', entry);
    const code = `console.log(import.meta.resolve('${name}'))`;
    const url = run('node', ['--input-type=module', '-e', code]).trim();
    assert.ok(fs.existsSync(new URL(url)), name);
  }
});

test('compiles in a strict project without DOM or Node types, imported and required', () => {
  const code = `
    import { Client, SealvecError, generateKey, memoryStorage } from 'sealvec';
    import type { Item, QueryResult, Storage } from 'sealvec';
    export async function search(storage: Storage, items: Item[]): Promise<string[]> {
      const client = new Client({ storage });
      const index = await client.createIndex({ indexName: 'notes', indexKey: generateKey() });
      await index.upsert({ items });
      const found: QueryResult = await index.query({ queryVectors: [0, 1], topK: 1 });
      return found.results.map((item) => item.id);
    }
    export const refused = (error: unknown): boolean =>
      error instanceof SealvecError && error.code === 'WRONG_KEY';
    export const nearest = search(memoryStorage(), [{ id: 'a', vector: [0, 1] }]);`;
  const options = {
    strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false, noEmit: true,
    target: 'ES2022', lib: ['ES2022'], types: [], module: 'NodeNext',
  };
  write('consumer.mts', `import 'sealvec/storage-suite';${code}`);
  write('consumer.cts', code);
  const files = ['consumer.mts', 'consumer.cts'];
  write('tsconfig.json', JSON.stringify({ compilerOptions: options, files }));
  run(bin('tsc'), ['-p', 'tsconfig.json']);
});

test('packs the built files, the readme and the licence, and no source', () => {
  const files = run('tar', ['-tzf', tarball]).trim().split('\n').sort();
  for (const file of files) {
    assert.match(file, /^package\/(dist\/|package\.json$|README\.md$|LICENSE$|SECURITY\.md$)/);
  }
  const built = ['sealvec.js', 'sealvec.cjs', 'browser.js', 'training-worker.js', 'sealvec.wasm'];
  for (const file of ['LICENSE', ...built.map((name) => `dist/${name}`)]) {
    assert.ok(files.includes(`package/${file}`), file);
  }
});

test('pleases publint', () => {
  const installed = path.join(project, 'node_modules/sealvec');
  run(bin('publint'), ['run', '--strict', '--pack', 'false', installed]);
});

test('pleases attw: types resolve for import and require alike', () => {
  // Two entries are not code to call, and the storage suite is an ES module only.
  const options = ['--no-emoji', '--profile', 'node16', '--exclude-entrypoints'];
  run(bin('attw'), [tarball, ...options, './worker', './sealvec.wasm', './storage-suite']);
});
