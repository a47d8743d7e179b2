// Every @example in the source runs as it stands, and what the texts point to is there.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as sealvec from '../../build/js/index.js';
import * as filters from '../../build/js/filter.js';
import { storageSuite } from '../../build/js/storage/suite.js';
import { randomVectors, toItems } from './support/oracle.js';

const root = fileURLToPath(new URL('../../js/', import.meta.url));
const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith('.ts'));

/** The examples of a file: where each is, and its code. */
function examplesOf(file) {
  const source = readFileSync(path.join(root, file), 'utf8');
  return [...source.matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap((comment) =>
    [...comment[0].matchAll(/@example\n((?:\s*\*(?! @|\/).*\n)*)/g)].map((example) => ({
      line: source.slice(0, comment.index + example.index).split('\n').length,
      code: example[1].replace(/^\s*\* ?/gm, ''),
    })),
  );
}

/** The methods of a class that callers see, and whether each has an example. */
function methodsOf(file) {
  const source = readFileSync(path.join(root, file), 'utf8');
  const found = source.matchAll(/(\/\*\*(?:(?!\*\/)[\s\S])*\*\/)\n {2}async (\w+)\(/g);
  return [...found].map(([, comment, name]) => ({
    name,
    hasExample: comment.includes('@example'),
  }));
}

const AsyncFunction = (async () => undefined).constructor;
const NEEDS_BROWSER = /indexedDBStorage/;

/** What the examples use without saying where it comes from. */
async function scope(directory) {
  const { Client, fileStorage, memoryStorage, generateKey } = sealvec;
  const client = new Client({ storage: memoryStorage(), minTrainVectors: 10, worker: false });
  const indexKey = generateKey();
  const index = await client.createIndex({ indexName: 'notes', indexKey, dimension: 2 });
  await index.upsert({ items: toItems(randomVectors(100, 2, 1)) });
  const quiet = { log: () => undefined, warn: () => undefined };
  const vectors = randomVectors(2, 2, 3);
  const declared = [];
  return {
    ...sealvec,
    ...filters,
    client,
    indexKey,
    index,
    directory,
    vectors,
    vector: vectors[0],
    console: quiet,
    storageSuite,
    declared,
    test: (_, body) => declared.push(body),
    makeBucket: async () => {
      const bucket = await mkdtemp(path.join(directory, 'bucket-'));
      return { bucket, remove: () => rm(bucket, { recursive: true, force: true }) };
    },
    bucketStorage: ({ bucket }) => fileStorage(bucket),
  };
}

describe('the examples in docstrings', () => {
  let count = 0;
  for (const file of files) {
    for (const { line, code } of examplesOf(file)) {
      count++;
      test(`${file}:${line} runs`, { skip: NEEDS_BROWSER.test(code) }, async () => {
        const directory = await mkdtemp(path.join(os.tmpdir(), 'sealvec-docs-'));
        const before = process.cwd();
        process.chdir(directory);
        try {
          const names = await scope(directory);
          assert.ok(code.trim() !== '');
          // In a block of its own, so that an example may declare what is there already.
          await new AsyncFunction(...Object.keys(names), `{${code}\n}`)(...Object.values(names));
          for (const body of names.declared) await body();
          await names.client.close();
        } finally {
          process.chdir(before);
          await rm(directory, { recursive: true });
        }
      });
    }
  }

  test('are there for every method of Client and EncryptedIndex', () => {
    assert.ok(count >= 15, `${count} examples`);
    for (const file of ['client.ts', 'encrypted-index.ts', 'managed-index.ts']) {
      const methods = methodsOf(file);
      assert.ok(methods.length >= 5, file);
      for (const { name, hasExample } of methods) assert.ok(hasExample, `${file}: ${name}`);
    }
  });
});

/** Files that a text names: the targets of its links, and paths in its words. */
function namedFiles(text) {
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)];
  const paths = [...text.matchAll(/(?<![\w/])((?:js|c|types)\/[\w/-]+\.(?:ts|c|h))\b/g)];
  return [...links, ...paths].map(([, file]) => file);
}

describe('what the texts point to', () => {
  const top = path.join(root, '..');
  const sources = ['js', 'c', 'types'].flatMap((folder) =>
    readdirSync(path.join(top, folder), { recursive: true })
      .filter((name) => /\.(ts|c|h)$/.test(name)).map((name) => `${folder}/${name}`));
  for (const document of ['README.md', 'SECURITY.md']) {
    test(`is there, ${document}`, () => {
      const named = namedFiles(readFileSync(path.join(top, document), 'utf8'));
      assert.ok(named.length > 10);
      assert.deepEqual(named.filter((file) => !existsSync(path.join(top, file))), []);
    });
  }

  test('is there, comments of the source', () => {
    const named = sources.flatMap((file) => {
      const text = readFileSync(path.join(top, file), 'utf8');
      return namedFiles(text).map((other) => [file, other]);
    });
    assert.ok(named.length > 10);
    assert.deepEqual(named.filter(([, other]) => !existsSync(path.join(top, other))), []);
  });
});
