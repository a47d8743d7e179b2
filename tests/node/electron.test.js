// Which parts of the library Electron's processes get, by the globals that tell them apart.
// Electron itself is not run: this process plays its processes.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as pages from '../../build/browser/index.js';
import * as node from '../../build/js/index.js';
import { KeyFile } from '../../examples/electron/key-file.js';

/** Runs work while these globals are set, and process.type is that of a kind of process. */
async function as(type, globals, work) {
  const before = Object.keys(globals).map((name) => [
    name, Object.getOwnPropertyDescriptor(globalThis, name),
  ]);
  const set = (object, name, value) =>
    Object.defineProperty(object, name, { value, configurable: true, writable: true });
  for (const [name, value] of Object.entries(globals)) set(globalThis, name, value);
  if (type !== undefined) set(process, 'type', type);
  try {
    return await work();
  } finally {
    delete process.type;
    for (const [name, descriptor] of before) {
      delete globalThis[name];
      if (descriptor) Object.defineProperty(globalThis, name, descriptor);
    }
  }
}

/** Fills, trains and searches an index; counts the threads of Node that this took. */
async function journey({ Client, generateKey }, storage) {
  let threads = 0;
  const count = () => threads++;
  process.on('worker', count);
  const client = new Client({ storage, minTrainVectors: 10 });
  try {
    const options = { indexName: 'notes', indexKey: generateKey(), dimension: 2 };
    const index = await client.createIndex(options);
    const ids = Array.from({ length: 64 }, (_, i) => `n${i}`);
    await index.upsert({ ids, vectors: ids.map((_, i) => [i, 1]) });
    const { nLists } = await index.train({ nLists: 2, workers: 1 });
    const { results } = await index.query({ queryVectors: [7, 1], topK: 1, nProbes: 2 });
    return { nLists, nearest: results[0].id, threads };
  } finally {
    await client.close();
    process.off('worker', count);
  }
}

/** A Web Worker that cannot load its file. */
class BrokenWorker {
  static made = [];

  constructor(url, options) {
    BrokenWorker.made.push([String(url), options.type]);
  }

  addEventListener(type, listener) {
    if (type === 'error') setTimeout(() => listener({ message: '' }));
  }

  postMessage() {}

  terminate() {}
}

describe('the build of Node', () => {
  for (const [place, type] of [
    ['plain Node', undefined], ['the main process', 'browser'], ['a utility process', 'utility'],
  ]) {
    test(`trains in a thread in ${place}, with files as storage`, async () => {
      const folder = await mkdtemp(path.join(tmpdir(), 'sealvec-electron-'));
      try {
        const end = await as(type, {}, () => journey(node, folder));
        assert.deepEqual(end, { nLists: 2, nearest: 'n7', threads: 1 });
        assert.ok((await readdir(folder)).length > 0);
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  for (const [place, type, globals] of [
    ['a renderer with Node integration', 'renderer', { window: {}, document: {} }],
    ['a preload script', 'renderer', { window: {}, contextBridge: {} }],
    ['a worker with Node integration', 'worker', { WorkerGlobalScope: class {} }],
    ['the preload script of a service worker', 'service-worker', {}],
  ]) {
    test(`trains without a thread in ${place}, which has none`, async () => {
      const end = await as(type, globals, () => journey(node, node.memoryStorage()));
      assert.deepEqual(end, { nLists: 2, nearest: 'n7', threads: 0 });
    });
  }
});

describe('the build of browsers, in a renderer where Node shows', () => {
  // First, since a core that was compiled once is not fetched again.
  test('finds the core under file:, which pages may not fetch', async () => {
    const fetched = [];
    const fetch = async (url) => {
      fetched.push(url);
      throw new TypeError('Failed to fetch');
    };
    const client = new pages.Client({ storage: pages.memoryStorage() });
    const indexKey = pages.generateKey();
    await as('renderer', { window: {}, fetch }, () =>
      client.createIndex({ indexName: 'a', indexKey, dimension: 2 }));
    await client.close();
    assert.equal(fetched.length, 1);
    assert.match(fetched[0], /^file:.*\/sealvec\.wasm$/);
  });

  test('takes Web Workers: its own file first, then its copy', async () => {
    BrokenWorker.made = [];
    await as('renderer', { window: {}, Worker: BrokenWorker }, () =>
      assert.rejects(journey(pages, pages.memoryStorage()), (error) =>
        error.code === 'UNSUPPORTED' && /could not be loaded/.test(error.message)));
    const [[file, kind], [copy], ...others] = BrokenWorker.made;
    assert.match(file, /\/training-worker\.js$/);
    assert.match(copy, /^blob:/);
    assert.deepEqual([kind, others], ['module', []]);
  });

  test('takes a text as the name of a database, never as a folder', async () => {
    await as('renderer', { window: {} }, () =>
      assert.rejects(journey(pages, 'vectors'), (error) =>
        error.code === 'UNSUPPORTED' && /IndexedDB/.test(error.message)));
    await assert.rejects(readdir('vectors'), { code: 'ENOENT' });
  });
});

// A stub of what Electron documents: it shows what the example does, and nothing of Electron.
describe('the key file of the example, over a stub of safeStorage', () => {
  const scramble = (bytes) => Buffer.from(bytes.map((byte) => byte ^ 0x5a));
  const safeStorage = {
    isEncryptionAvailable: () => true,
    getSelectedStorageBackend: () => 'gnome_libsecret',
    encryptString: (text) => scramble(Buffer.from(text)),
    decryptString: (bytes) => scramble(bytes).toString(),
  };
  const inFolder = async (work) => {
    const folder = await mkdtemp(path.join(tmpdir(), 'sealvec-electron-'));
    try {
      await work(path.join(folder, 'index.key'));
    } finally {
      await rm(folder, { recursive: true });
    }
  };

  test('gives the key that it was made with, each time', () => inFolder(async (file) => {
    const key = await new KeyFile(file, safeStorage).open(node.generateKey);
    assert.equal(key.length, 32);
    const again = await new KeyFile(file, safeStorage).open(() => assert.fail('a second key'));
    assert.deepEqual(again, key);
  }));

  test('is not made where keys would lie in the clear', () => inFolder(async (file) => {
    for (const weak of [
      { isEncryptionAvailable: () => false },
      { getSelectedStorageBackend: () => 'basic_text' },
    ]) {
      const keys = new KeyFile(file, { ...safeStorage, ...weak });
      await assert.rejects(keys.open(node.generateKey), /no key store/);
      assert.deepEqual(await readdir(path.dirname(file)), []);
    }
  }));
});
