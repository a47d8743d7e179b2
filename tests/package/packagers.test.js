// The package in a page: through each packager as it comes, without a line of configuration about
// this library, and through none. The pages run in Chromium.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import * as esbuild from 'esbuild';
import { serve, startChromium, unavailable, visit } from './pages.js';
import { makeProject, root } from './project.js';

const STRICT = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; " +
  "worker-src 'self'";
/** Of packagers that leave the worker's file behind: the library asks for it, then has a copy. */
const WITH_BLOBS = `${STRICT} blob:`;
const WITHOUT_WORKERS = STRICT.replace("worker-src 'self'", "worker-src 'none'");
const HTML = '<!doctype html><title>SealVec</title>';

const packagers = createRequire(path.join(root, 'build/packagers/package.json'));
const journeySource = fs.readFileSync(new URL('page-journey.js', import.meta.url), 'utf8');
let project;
let browser;

/** Writes a page's own code, in a folder; it has the journey of the library under this name. */
function writePage(folder, library = 'sealvec') {
  project.write(`${folder}/journey.js`, journeySource.replace("'sealvec'", `'${library}'`));
  project.write(`${folder}/main.js`, `import { journey } from './journey.js';
    globalThis.outcome = journey();`);
  project.write(`${folder}/index.html`, `${HTML}<script type="module" src="./main.js"></script>`);
  return path.join(project.folder, folder);
}

/** The end of the journey, and how it trained: in workers of these kinds of URL. */
function check({ exact, trained, reopened, workers, ...rest }, kinds) {
  assert.equal(exact.length, 5);
  assert.equal(exact[0], 'row-3');
  assert.deepEqual(trained, exact);
  assert.deepEqual(reopened, exact);
  assert.deepEqual(rest, { nLists: 8, filtered: ['row-4'], wrongKey: 'WRONG_KEY' });
  assert.deepEqual(workers, kinds);
}

/** Visits a folder that is a web site; answers what was asked of its server. */
async function checkSite(folder, policy, kinds) {
  const server = await serve(folder, policy);
  try {
    check(await visit(browser, server.origin), kinds);
    return server.requests;
  } finally {
    await server.close();
  }
}

/** The files of the package, as installed. */
const dist = () => path.join(project.folder, 'node_modules/sealvec/dist');

/** A test that takes Chromium, and says so where there is none. */
const visited = (name, body) => test(name, { skip: unavailable }, body);

const asked = (requests, pattern) => requests.some((name) => pattern.test(name));

before(async () => {
  if (unavailable) return;
  project = makeProject();
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  project?.remove();
});

describe('the package in a page', () => {
  visited('of Vite, in development', async () => {
    const { createServer } = await import(pathToFileURL(packagers.resolve('vite')));
    const site = writePage('vite-dev');
    const address = { host: '127.0.0.1', port: 0 };
    const options = { configFile: false, logLevel: 'error', server: address };
    const server = await createServer({ root: site, ...options });
    try {
      await server.listen();
      check(await visit(browser, server.resolvedUrls.local[0]), ['http:']);
    } finally {
      await server.close();
    }
  });

  visited('of Vite, built', async () => {
    const { build } = await import(pathToFileURL(packagers.resolve('vite')));
    const site = writePage('vite-build');
    await build({ root: site, configFile: false, logLevel: 'error' });
    const requests = await checkSite(path.join(site, 'dist'), STRICT, ['http:']);
    assert.ok(asked(requests, /sealvec.*\.wasm$/) && !asked(requests, /embedded/));
  });

  visited('of webpack', async () => {
    const webpack = packagers('webpack');
    const site = writePage('webpack');
    const options = { mode: 'production', context: site, entry: './main.js' };
    const stats = await new Promise((resolve, reject) => {
      webpack({ ...options, output: { path: path.join(site, 'dist') } }, (error, result) =>
        error ? reject(error) : resolve(result));
    });
    assert.deepEqual(stats.toJson({ errors: true }).errors, []);
    project.write('webpack/dist/index.html', `${HTML}<script src="main.js"></script>`);
    const requests = await checkSite(path.join(site, 'dist'), STRICT, ['http:']);
    assert.ok(asked(requests, /\.wasm$/));
  });

  visited('of esbuild, in one file', async () => {
    const site = writePage('esbuild');
    const options = { bundle: true, format: 'esm', minify: true, logLevel: 'error' };
    const entry = { entryPoints: [`${site}/main.js`], outfile: `${site}/dist/main.js` };
    await esbuild.build({ ...options, ...entry });
    fs.cpSync(`${site}/index.html`, `${site}/dist/index.html`);
    await checkSite(`${site}/dist`, WITH_BLOBS, ['http:', 'blob:']);
  });

  visited('of Rollup', async () => {
    const { rollup } = packagers('rollup');
    const { nodeResolve } = packagers('@rollup/plugin-node-resolve');
    const site = writePage('rollup');
    const plugins = [nodeResolve({ browser: true })];
    const bundle = await rollup({ input: `${site}/main.js`, plugins });
    await bundle.write({ dir: `${site}/dist`, format: 'es' });
    fs.cpSync(`${site}/index.html`, `${site}/dist/index.html`);
    const requests = await checkSite(`${site}/dist`, WITH_BLOBS, ['http:', 'blob:']);
    assert.ok(asked(requests, /embedded.*\.js$/));
  });

  visited('of no packager, as files beside it under a strict policy', async () => {
    const site = writePage('plain', './sealvec/browser.js');
    fs.cpSync(dist(), `${site}/sealvec`, { recursive: true });
    const requests = await checkSite(site, STRICT, ['http:']);
    assert.ok(asked(requests, /sealvec\.wasm$/) && !asked(requests, /embedded/));
  });

  visited('loads its parts when they are first used, after the checks', async () => {
    const site = writePage('parts', './sealvec/browser.js');
    fs.cpSync(dist(), `${site}/sealvec`, { recursive: true });
    project.write('parts/main.js', `
      import { Client, generateKey, memoryStorage } from './sealvec/browser.js';
      const parts = () => performance.getEntriesByType('resource')
        .map(({ name }) => /(reading|writing|filter-rows|training)-[A-Z0-9]+\\.js$/.exec(name)?.[1])
        .filter(Boolean).sort().join();
      const steps = [];
      /** What a call comes to, and the parts that are there then. */
      const step = async (call) => {
        const end = await call.then(() => 'done', ({ code }) => code);
        steps.push(end + ': ' + parts());
      };
      async function go() {
        const client = new Client({ storage: memoryStorage(), minTrainVectors: 10 });
        const make = { indexName: 'a', indexKey: generateKey() };
        await step(client.createIndex({ ...make, metric: 'none' }));
        const index = await client.createIndex(make);
        await step(index.upsert({ ids: ['a'], vectors: [['x']] }));
        const ids = Array.from({ length: 50 }, (_, i) => String(i));
        await step(index.upsert({ ids, vectors: ids.map((id) => [Number(id), 1]) }));
        await step(index.query({ queryVectors: [1, 1], filters: { $where: 1 } }));
        await step(index.query({ queryVectors: [1, 1], filters: { a: 1 } }));
        await step(index.train({ nLists: 0 }));
        await step(index.train({ nLists: 2 }));
        return steps;
      }
      globalThis.outcome = go();`);
    const server = await serve(site, STRICT);
    try {
      assert.deepEqual(await visit(browser, server.origin), [
        'INVALID_ARGUMENT: ',
        'INVALID_ARGUMENT: reading',
        'done: reading,writing',
        'INVALID_ARGUMENT: reading,writing',
        'done: filter-rows,reading,writing',
        'INVALID_ARGUMENT: filter-rows,reading,writing',
        'done: filter-rows,reading,training,writing',
      ]);
    } finally {
      await server.close();
    }
  });

  visited('says what to do when a part of it is out of reach', async () => {
    const site = writePage('torn', './sealvec/browser.js');
    const whole = (name) => !/reading-/.test(name);
    fs.cpSync(dist(), `${site}/sealvec`, { recursive: true, filter: whole });
    project.write('torn/main.js', `import { journey } from './journey.js';
      globalThis.outcome = journey().catch(({ code, message }) => [code, message]);`);
    const server = await serve(site, STRICT);
    try {
      const [code, message] = await visit(browser, server.origin);
      assert.equal(code, 'UNSUPPORTED');
      assert.match(message, /reading-.*keep the files of its dist\/ together.*sealvec\/inline/);
    } finally {
      await server.close();
    }
  });

  visited('with the core and the worker inside, as one file', async () => {
    const site = writePage('inline', './inline-browser.js');
    fs.cpSync(`${dist()}/inline-browser.js`, `${site}/inline-browser.js`);
    const requests = await checkSite(site, WITH_BLOBS, ['blob:']);
    assert.deepEqual(requests, ['/', '/main.js', '/journey.js', '/inline-browser.js']);
  });

  visited('with both inside, in its own thread where the policy allows no worker', async () => {
    const site = writePage('inline-bundled', 'sealvec/inline');
    const options = { bundle: true, format: 'iife', logLevel: 'error' };
    const entry = { entryPoints: [`${site}/main.js`], outfile: `${site}/dist/main.js` };
    await esbuild.build({ ...options, ...entry });
    project.write('inline-bundled/dist/index.html', `${HTML}<script src="main.js"></script>`);
    await checkSite(`${site}/dist`, WITHOUT_WORKERS, ['blob:']);
  });
});

describe('the package in a service worker', () => {
  /** A page that registers worker.js and asks it how the journey went. */
  const REGISTER = `
    const { serviceWorker } = navigator;
    globalThis.outcome = serviceWorker.register('./worker.js', { type: 'module' })
      .then(() => serviceWorker.ready)
      .then(({ active }) => new Promise((resolve) => {
        serviceWorker.onmessage = ({ data }) => resolve(data);
        active.postMessage('go');
      }));`;
  const ANSWER = `
    addEventListener('message', (event) => event.waitUntil(
      journey({ worker: false }).catch(String).then((end) => event.source.postMessage(end))));`;

  function writeServiceWorker(folder, library) {
    const site = writePage(folder, library);
    project.write(`${folder}/main.js`, REGISTER);
    project.write(`${folder}/worker.js`, `import { journey } from './journey.js';${ANSWER}`);
    return site;
  }

  visited('as it is, with the core inside', async () => {
    const site = writeServiceWorker('service', './inline-browser.js');
    fs.cpSync(`${dist()}/inline-browser.js`, `${site}/inline-browser.js`);
    await checkSite(site, STRICT, []);
  });

  visited('bundled into one file', async () => {
    const site = writeServiceWorker('service-bundled');
    const options = { bundle: true, format: 'esm', logLevel: 'error', allowOverwrite: true };
    const entry = { entryPoints: [`${site}/worker.js`], outfile: `${site}/worker.js` };
    await esbuild.build({ ...options, ...entry });
    await checkSite(site, STRICT, []);
  });
});
