// The package as its users get it: packed, installed in an empty project, imported, required,
// compiled against by strict TypeScript without DOM or Node types, and run under jest.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { bin, makeProject, root, run as runIn } from './project.js';

let project;
let tarball;
let write;
let remove;

const run = (program, args, options) => runIn(program, args, { cwd: project, ...options });

/** Compiles journey.ts to journey.mjs and journey.cjs. */
function compileJourney() {
  const source = fs.readFileSync(new URL('journey.ts', import.meta.url), 'utf8');
  write('journey.mts', source);
  write('journey.cts', source);
  compile('journey', ['journey.mts', 'journey.cts'], {});
}

/** Compiles files as strictly as can be, with nothing but the language declared. */
function compile(name, files, others) {
  const compilerOptions = {
    strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true,
    skipLibCheck: false, target: 'ES2022', lib: ['ES2022'], types: [], module: 'NodeNext',
    ...others,
  };
  write(`tsconfig.${name}.json`, JSON.stringify({ compilerOptions, files }));
  run(bin('tsc'), ['-p', `tsconfig.${name}.json`]);
}

before(() => {
  ({ folder: project, tarball, write, remove } = makeProject());
});

after(() => remove());

const EXPECTED = {
  contents: 'text of 4',
  filtered: ['row-4'],
  training: {
    nLists: 64, workers: 1, phases: ['sample', 'cluster', 'assign', 'calibrate', 'commit'],
  },
  errors: [
    'WRONG_KEY', 'ALREADY_EXISTS', 'NOT_FOUND', 'DIMENSION_MISMATCH', 'NOT_ENOUGH_VECTORS',
    'INVALID_ARGUMENT',
  ],
};

function checkSummary({ exact, trained, reopened, ...rest }) {
  assert.equal(exact.length, 5);
  assert.equal(exact[0], 'row-3');
  assert.deepEqual(trained, exact);
  assert.deepEqual(reopened, exact);
  assert.deepEqual(rest, EXPECTED);
}

/** A test that jest runs; the summary goes to a file, where this process looks at it. */
const jestTest = (load, name) => `
  const fs = require('node:fs');
  test('the whole way', async () => {
    const { journey } = ${load};
    const summary = await journey('${name}-store');
    expect(summary.exact).toHaveLength(5);
    fs.writeFileSync('${name}.json', JSON.stringify(summary));
  }, 60_000);`;

test('ships no core but the one whose ciphers are tested, as a file or within others', () => {
  const installed = path.join(project, 'node_modules/sealvec');
  const core = fs.readFileSync(path.join(root, 'dist/sealvec.wasm'));
  const begins = core.subarray(0, 6).toString('base64');
  const texts = [];
  for (const name of fs.readdirSync(installed, { recursive: true })) {
    const file = path.join(installed, name);
    if (!fs.statSync(file).isFile()) continue;
    const bytes = fs.readFileSync(file);
    if (bytes.subarray(0, 4).equals(core.subarray(0, 4))) {
      assert.ok(bytes.equals(core), name);
      assert.equal(name, path.join('dist', 'sealvec.wasm'));
    }
    const text = bytes.toString('latin1');
    for (let at = text.indexOf(begins); at >= 0; at = text.indexOf(begins, at + 1)) {
      texts.push(name);
      assert.ok(text.startsWith(core.toString('base64'), at), name);
    }
  }
  assert.ok(texts.length >= 3, 'the inline bundles hold it');
});

test('installs without any other package', () => {
  const installed = fs.readdirSync(path.join(project, 'node_modules'));
  assert.deepEqual(installed.filter((name) => !name.startsWith('.')), ['sealvec']);
});

test('compiles in a strict project without DOM or Node types, imported and required', () => {
  compileJourney();
  write('suite.mts', `import { storageSuite, type OpenedStorage } from 'sealvec/storage-suite';
    import { memoryStorage } from 'sealvec';
    const open = async (): Promise<OpenedStorage> =>
      ({ storage: memoryStorage(), reopen: async () => memoryStorage() });
    storageSuite({ test: () => undefined, open });`);
  compile('suite', ['suite.mts'], { noEmit: true });
  const bundled = { module: 'ESNext', moduleResolution: 'Bundler', noEmit: true };
  compile('bundler', ['journey.mts'], bundled);
});

for (const kind of ['mjs', 'cjs']) {
  test(`upserts, trains in worker threads, queries and reopens as compiled ${kind}`, () => {
    write(`run-${kind}.mjs`, `
      import { journey } from './journey.${kind}';
      let workers = 0;
      process.on('worker', () => workers++);
      const summary = await journey('store-${kind}');
      console.log(JSON.stringify({ summary, workers }));`);
    const { summary, workers } = JSON.parse(run('node', [`run-${kind}.mjs`]));
    checkSummary(summary);
    assert.equal(workers, 1);
  });
}

for (const kind of ['mjs', 'cjs']) {
  test(`does the same with the core and the worker inside, as compiled ${kind}`, () => {
    const compiled = fs.readFileSync(path.join(project, `journey.${kind}`), 'utf8');
    write(`inline/journey.${kind}`, compiled.replace(/(["'])sealvec\1/, `'sealvec/inline'`));
    // A copy of the one file that is loaded: nothing beside it can be read.
    const file = kind === 'mjs' ? 'inline.js' : 'inline.cjs';
    const alone = 'inline/node_modules/sealvec';
    write(`${alone}/package.json`, `{ "type": "module", "exports": { "./inline": "./${file}" } }`);
    write(`${alone}/${file}`,
      fs.readFileSync(path.join(project, 'node_modules/sealvec/dist', file), 'utf8'));
    write(`inline/run-${kind}.mjs`, `
      import { journey } from './journey.${kind}';
      let workers = 0;
      process.on('worker', () => workers++);
      console.log(JSON.stringify({ summary: await journey('inline-${kind}'), workers }));`);
    const { summary, workers } = JSON.parse(run('node', [`inline/run-${kind}.mjs`]));
    checkSummary(summary);
    assert.equal(workers, 1);
  });
}

test('does the same inside a worker thread', () => {
  write('thread.mjs', `
    import { parentPort } from 'node:worker_threads';
    import { journey } from './journey.mjs';
    parentPort.postMessage(await journey('store-thread'));`);
  write('run-thread.mjs', `
    import { Worker } from 'node:worker_threads';
    new Worker(new URL('./thread.mjs', import.meta.url))
      .on('message', (summary) => console.log(JSON.stringify(summary)));`);
  checkSummary(JSON.parse(run('node', ['run-thread.mjs'])));
});

test('does the same under jest, required and imported', () => {
  write('required.test.cjs', jestTest(`require('./journey.cjs')`, 'required'));
  write('imported.test.cjs', jestTest(`await import('./journey.mjs')`, 'imported'));
  write('jest.config.json', '{ "transform": {}, "testEnvironment": "node" }');
  const env = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' };
  run(bin('jest'), ['--ci', '--config', 'jest.config.json', '--rootDir', project], { env });
  for (const name of ['required', 'imported']) {
    checkSummary(JSON.parse(fs.readFileSync(path.join(project, `${name}.json`), 'utf8')));
  }
});

test('leaves nothing running once the client is closed', () => {
  const code = `import { Client, generateKey, memoryStorage } from 'sealvec';
    const client = new Client({ storage: memoryStorage() });
    const index = await client.createIndex({ indexName: 'notes', indexKey: generateKey() });
    await index.upsert({ ids: ['a'], vectors: [[1]] });
    await client.close();
    const own = (name) => !/Pipe|TTY|Wrap/.test(name);
    console.log(process.getActiveResourcesInfo().filter(own).join());`;
  assert.equal(run('node', ['--input-type=module', '-e', code]).trim(), '');
});

test('gives import and require the same names', () => {
  const listed = ['sealvec', 'sealvec/inline'].flatMap((name) => [
    `import * as all from '${name}'; console.log(Object.keys(all).sort().join());`,
    `import { createRequire } from 'node:module';
     console.log(Object.keys(createRequire(import.meta.url)('${name}')).sort().join());`,
  ]).map((code) => run('node', ['--input-type=module', '-e', code]).trim());
  assert.match(listed[0], /Client.*generateKey/);
  assert.equal(new Set(listed).size, 1);
});

test('resolves every entry it exports', () => {
  const manifest = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
  const names = Object.keys(manifest.exports).map((entry) => path.posix.join('sealvec', entry));
  const list = JSON.stringify(names);
  const code = `for (const name of ${list}) console.log(import.meta.resolve(name))`;
  const urls = run('node', ['--input-type=module', '-e', code]).trim().split('\n');
  assert.equal(urls.length, names.length);
  for (const url of urls) assert.ok(fs.existsSync(new URL(url)), url);
});

test('packs the built files, the readme and the licence, and no source', () => {
  const files = run('tar', ['-tzf', tarball]).trim().split('\n').sort();
  for (const file of files) {
    assert.match(file, /^package\/(dist\/|package\.json$|README\.md$|LICENSE$|SECURITY\.md$)/);
  }
  const built = [
    'sealvec.js', 'sealvec.cjs', 'browser.js', 'inline.js', 'inline.cjs', 'inline-browser.js',
    'training-worker.js', 'training-worker-node.js', 'storage-suite.js',
    'sealvec.wasm', 'LICENSES.txt', 'types/js/index.d.ts', 'types/js/index.d.cts',
  ];
  const others = ['LICENSE', 'README.md', 'SECURITY.md'];
  for (const file of [...others, ...built.map((name) => `dist/${name}`)]) {
    assert.ok(files.includes(`package/${file}`), file);
  }
});

test('names no place of the machine it was built on', () => {
  const installed = path.join(project, 'node_modules/sealvec');
  for (const name of fs.readdirSync(installed, { recursive: true })) {
    const file = path.join(installed, name);
    if (!fs.statSync(file).isFile()) continue;
    assert.equal(fs.readFileSync(file).indexOf(root), -1, `${name} names ${root}`);
  }
});

test('runs the example of the readme as it stands', () => {
  const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
  const [, code] = /```js\n(.*?)```/s.exec(readme);
  write('readme.mjs', code);
  assert.match(run('node', ['readme.mjs']), /id: 'tea'/);
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
