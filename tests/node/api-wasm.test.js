// Where the wasm core comes from.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { assertCode, openIndex } from './support/oracle.js';

const wasmPath = fileURLToPath(new URL('../../build/js/sealvec.wasm', import.meta.url));
const bytes = await readFile(wasmPath);
const arrayBuffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);

async function works(options) {
  const { index } = await openIndex({}, options);
  await index.upsert({ ids: ['a'], vectors: [[3, 4]] });
  const { results } = await index.query({ queryVectors: [0, 0] });
  assert.deepEqual(results, [{ id: 'a', distance: 5 }]);
}

describe('the wasm option', () => {
  const sources = {
    'a compiled module': () => WebAssembly.compile(bytes),
    'a compiled module, awaited': async () => await WebAssembly.compile(bytes),
    'an ArrayBuffer': () => arrayBuffer,
    'a Uint8Array': () => new Uint8Array(arrayBuffer),
    'a Buffer': () => bytes,
    'a view into a larger buffer': () =>
      new Uint8Array([0, ...new Uint8Array(arrayBuffer), 0]).subarray(1, bytes.length + 1),
    'a promise of bytes': () => Promise.resolve(new Uint8Array(arrayBuffer)),
    'a path': () => wasmPath,
    'a file URL': () => pathToFileURL(wasmPath),
    'the text of a file URL': () => pathToFileURL(wasmPath).href,
    'a Response': () => new Response(bytes),
    'what is like a Response': () => ({ arrayBuffer: async () => arrayBuffer }),
    'a promise of a Response': () => Promise.resolve(new Response(bytes)),
    'bytes of another realm': () => vm.runInNewContext('Uint8Array.from(b)', { b: [...bytes] }),
  };
  for (const [name, source] of Object.entries(sources)) {
    test(`takes ${name}`, () => works({ wasm: source() }));
  }

  test('copies bytes, which may change before the first call', async () => {
    const wasm = new Uint8Array(arrayBuffer.slice(0));
    const client = new Client({ storage: memoryStorage(), wasm });
    wasm.fill(0);
    await client.createIndex({ indexName: 'a', indexKey: generateKey() });
  });

  const html = new TextEncoder().encode('<!doctype html><p>not found</p>');
  const other = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const refused = {
    'a page of HTML': [() => html, 'UNSUPPORTED', /wasm.*no WebAssembly.*3c 21/],
    'a Response that is HTML': [() => new Response(html), 'UNSUPPORTED', /wasm.*no WebAssembly/],
    'wasm that does not compile': [() => bytes.subarray(0, 5000), 'UNSUPPORTED', /wasm.*compile/],
    'another module': [() => other, 'UNSUPPORTED', /wasm.*another module/],
    'another compiled module': [() => WebAssembly.compile(other), 'UNSUPPORTED', /another module/],
    'a file that is not there': [() => '/no/such/file', 'UNSUPPORTED', /wasm: \/no\/such\/file/],
    'a file URL that is not there': [() => new URL('file:///no/such'), 'UNSUPPORTED', /wasm/],
    'a URL that Node cannot read': [() => 'https://localhost/x.wasm', 'UNSUPPORTED', /wasm.*https/],
    'a Response read before': [
      async () => {
        const response = new Response(bytes);
        await response.arrayBuffer();
        return response;
      },
      'UNSUPPORTED',
      /wasm/,
    ],
    'a promise of nothing': [
      () => Promise.resolve(null),
      'INVALID_ARGUMENT',
      /wasm.*expected.*got null/,
    ],
    'a promise of a number': [
      () => Promise.resolve(5),
      'INVALID_ARGUMENT',
      /wasm.*expected.*got 5/,
    ],
  };
  for (const [name, [source, code, message]] of Object.entries(refused)) {
    test(`refuses ${name} at the first call that needs it`, async () => {
      const client = new Client({ storage: memoryStorage(), wasm: source() });
      assert.deepEqual(await client.listIndexes(), []);
      const creating = client.createIndex({ indexName: 'a', indexKey: generateKey() });
      await assertCode(creating, code, message);
      assert.deepEqual(await client.listIndexes(), []);
    });
  }

  test('tries a source again that failed before', async () => {
    const directory = await mkdtemp(path.join(os.tmpdir(), 'sealvec-wasm-'));
    const wasm = path.join(directory, 'later.wasm');
    const client = new Client({ storage: memoryStorage(), wasm });
    const create = () => client.createIndex({ indexName: 'a', indexKey: generateKey() });
    await assertCode(create(), 'UNSUPPORTED');
    await writeFile(wasm, bytes);
    await create();
    await rm(directory, { recursive: true });
  });
});
