// The tree of STYLE.md holds: which file may use which, and how large each may be.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const text = (file) => readFileSync(path.join(root, file), 'utf8');
const filesOf = (folder, ending) =>
  readdirSync(path.join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => path.posix.join(folder, name));
const withoutComments = (source) => source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');

const TS = [...filesOf('js', '.ts'), ...filesOf('types', '.ts')];
const C = filesOf('c', '.c');
const HEADERS = filesOf('c', '.h');

/** Imports of a TS file, also those made late: of what, and whether any exists at run time. */
function importsOf(file) {
  const source = withoutComments(text(file));
  const names = String.raw`\*(?:\s+as\s+\w+)?|\{[^}]*\}|\w+(?:\s*,\s*\{[^}]*\})?`;
  const pattern = `^(?:import|export)\\s+(?:(type\\s+)?(${names})\\s+from\\s+)?['"]([^'"]+)['"];`;
  const late = [...source.matchAll(/\bimport\('([^']+)'\)/g)].map(([, from]) => [, , '', from]);
  const statements = [...source.matchAll(new RegExp(pattern, 'gm')), ...late];
  return statements.map(([, type, what = '', from]) => {
    const target = from.startsWith('.')
      ? path.posix.join(path.posix.dirname(file), from).replace(/\.js$/, '.ts')
      : from;
    const list = what
      .match(/\{([\s\S]*)\}/)?.[1]
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean);
    const onlyTypes = list?.length > 0 && list.every((name) => name.startsWith('type '));
    return { target, runtime: !type && !onlyTypes };
  });
}

const imports = new Map(TS.map((file) => [file, importsOf(file)]));
const targets = (file) => imports.get(file).map(({ target }) => target);
const runtimeTargets = (file) =>
  imports
    .get(file)
    .filter(({ runtime }) => runtime)
    .map(({ target }) => target);
const importersOf = (target) => TS.filter((file) => targets(file).includes(target));

/** Everything that a file brings with it at run time. */
function closure(file, seen = new Set()) {
  for (const target of runtimeTargets(file)) {
    if (!imports.has(target) || seen.has(target)) continue;
    seen.add(target);
    closure(target, seen);
  }
  return seen;
}

const only = (file, allowed) =>
  assert.deepEqual(
    targets(file).filter((target) => !allowed.includes(target)),
    [],
    file,
  );

describe('the TypeScript', () => {
  test('is found, with its imports', () => {
    assert.ok(TS.length > 40);
    assert.ok(runtimeTargets('js/client.ts').includes('js/encrypted-index.ts'));
    assert.ok(targets('js/client.ts').includes('types/api.ts'));
    assert.ok(!runtimeTargets('js/client.ts').includes('types/api.ts'));
    for (const file of TS) {
      for (const target of targets(file)) {
        const known = imports.has(target) || !target.includes('.ts');
        assert.ok(known, `${file} imports ${target}, which is not there`);
      }
    }
  });

  test('has no circle of imports at run time', () => {
    for (const file of TS) assert.ok(!closure(file).has(file), `${file} imports itself`);
  });

  test('types/ holds no runtime code, and host.ts, keys.ts and core.ts import nothing', () => {
    for (const file of TS.filter((name) => name.startsWith('types/'))) {
      const source = withoutComments(text(file));
      if (file.endsWith('.d.ts')) continue;
      assert.deepEqual(runtimeTargets(file), [], file);
      assert.doesNotMatch(
        source,
        /^(export\s+)?(const|let|var|class|function|enum|abstract)\b/m,
        file,
      );
    }
    for (const name of ['host', 'keys', 'core']) assert.deepEqual(targets(`types/${name}.ts`), []);
    assert.deepEqual([...new Set(targets('types/api.ts'))], ['types/host.ts', 'types/keys.ts']);
  });

  test('errors stand on types alone, and checks of arguments on errors', () => {
    only('js/errors.ts', ['types/api.ts', 'types/protocol.ts']);
    only('js/validate.ts', ['js/errors.ts', 'types/api.ts']);
    only('js/text.ts', ['js/validate.ts']);
    only('js/documents.ts', ['js/validate.ts', 'js/text.ts']);
    only('js/abort.ts', ['js/errors.ts', 'types/api.ts']);
    only('js/bytes.ts', ['js/errors.ts']);
    only('js/records.ts', ['js/errors.ts']);
  });

  test('the core stands on errors alone, and nothing else touches wasm memory', () => {
    only('js/core.ts', ['js/errors.ts', 'types/core.ts', 'types/api.ts']);
    assert.deepEqual(importersOf('types/core.ts'), ['js/core.ts']);
    for (const file of TS.filter((name) => name !== 'js/core.ts' && name !== 'types/core.ts')) {
      assert.doesNotMatch(
        withoutComments(text(file)),
        /\bmemory\.buffer\b|WebAssembly\.Instance|\.instantiate\(.*imports/,
        file,
      );
    }
  });

  test('storages know no key, no vector and no wasm: errors, types, their platform, how to await all', () => {
    for (const file of TS.filter((name) => name.startsWith('js/storage/'))) {
      for (const target of targets(file)) {
        assert.match(
          target,
          /^(js\/storage\/[\w-]+\.ts|js\/(?:errors|all)\.ts|types\/api\.ts|node:[\w/]+|idb)$/,
          file,
        );
      }
    }
  });

  test('what runs in a training worker brings no storage, no platform and no API with it', () => {
    const workers = ['js/training-worker.ts', 'js/training-worker-node.ts'];
    const inside = workers.flatMap((file) => [...closure(file)]);
    assert.ok(inside.includes('js/core.ts') && inside.includes('js/training-tasks.ts'));
    const outside = [
      'client',
      'encrypted-index',
      'access',
      'settings',
      'platform',
      'assets',
      'loader',
      'store',
      'writer',
      'merge',
      'upkeep',
      'training',
      'runner',
      'query',
      'filter',
      'open-index',
      'items',
    ];
    for (const name of outside)
      assert.ok(!inside.includes(`js/${name}.ts`), `${name} in the worker`);
    assert.deepEqual(
      inside.filter((file) => file.startsWith('js/storage/')),
      [],
    );
    for (const file of workers) assert.deepEqual(importersOf(file), [], 'it is started by URL');
  });

  test('the entry is client, the client has indexes, and nothing below knows of either', () => {
    assert.deepEqual(importersOf('js/index.ts'), []);
    assert.deepEqual(importersOf('js/client.ts'), ['js/index.ts']);
    assert.deepEqual(importersOf('js/encrypted-index.ts').sort(), ['js/client.ts', 'js/index.ts']);
    const lines = withoutComments(text('js/index.ts')).split('\n').filter(Boolean);
    for (const line of lines) assert.match(line, /^export .* from '.*';$/);
  });

  test('Node is met in platform, threads and files, libraries in filters and IndexedDB', () => {
    const users = (pattern) =>
      TS.filter((file) => targets(file).some((target) => pattern.test(target)));
    for (const file of users(/^node:/))
      assert.match(file, /^js\/(platform|assets|node-endpoint|storage\/file[\w-]*)\.ts$/);
    for (const file of users(/^sift/))
      assert.match(file, /^js\/filter[\w-]*\.ts$|^types\/sift\.d\.ts$/);
    for (const file of users(/^idb/)) assert.match(file, /^js\/storage\/indexeddb[\w-]*\.ts$/);
    const others = TS.flatMap(targets).filter((target) => !target.endsWith('.ts'));
    assert.deepEqual(
      others.filter((target) => !/^(node:|sift(\/|$)|idb$)/.test(target)),
      [],
    );
  });

  test('has no any, no enum, and no line or file that is too long', () => {
    for (const file of TS) {
      const lines = text(file).trimEnd().split('\n');
      assert.ok(lines.length <= 300, `${file} has ${lines.length} lines`);
      lines.forEach((line, i) =>
        assert.ok(line.length <= 100, `${file}:${i + 1} has ${line.length} columns`),
      );
      assert.doesNotMatch(
        withoutComments(text(file)),
        /(:|<|\bas|,|\|)\s*any\b[^.'`\w]|^\s*(export )?enum\b/m,
        file,
      );
    }
  });
});

describe('the C', () => {
  const includesOf = (file) =>
    [...withoutComments(text(file)).matchAll(/^\s*#\s*include\s+([<"][^>"]+[>"])/gm)].map(
      ([, name]) => name,
    );
  const LIBC = [
    '<math.h>',
    '<string.h>',
    '<stdlib.h>',
    '<stddef.h>',
    '<stdint.h>',
    '<float.h>',
    '<limits.h>',
  ];

  test('includes sv.h, internal.h and the C library, and sodium.h in seal.c alone', () => {
    assert.ok(C.length >= 9);
    for (const file of C) {
      const allowed = [
        '"sv.h"',
        '"internal.h"',
        ...LIBC,
        ...(file === 'c/seal.c' ? ['<sodium.h>'] : []),
        ...(file === 'c/error.c' ? ['<malloc.h>'] : []),
      ];
      const names = includesOf(file);
      assert.ok(names.includes('"internal.h"') || names.includes('"sv.h"'), file);
      assert.deepEqual(
        names.filter((name) => !allowed.includes(name)),
        [],
        file,
      );
    }
    assert.ok(includesOf('c/seal.c').includes('<sodium.h>'));
    assert.deepEqual(
      includesOf('c/sv.h').filter((name) => !LIBC.includes(name)),
      [],
    );
    const allowed = ['"sv.h"', '<wasm_simd128.h>', ...LIBC];
    assert.deepEqual(
      includesOf('c/internal.h').filter((name) => !allowed.includes(name)),
      [],
    );
    assert.deepEqual(HEADERS.sort(), ['c/internal.h', 'c/sv.h']);
  });

  test('calls downwards: lists and k-means use distances, nothing uses seal or segment', () => {
    const sources = new Map(
      C.map((file) => [path.basename(file, '.c'), withoutComments(text(file))]),
    );
    const definedIn = new Map();
    for (const [name, source] of sources) {
      for (const [, symbol] of source.matchAll(
        /^[a-z]\w*(?:\s+\w+)*[\s*]+(sv_\w+)\([^;{]*\)\s*\{/gm,
      )) {
        definedIn.set(symbol, name);
      }
    }
    assert.ok(definedIn.size > 40);
    const allowed = {
      error: [],
      topk: [],
      quantize: [],
      distance: [],
      seal: [],
      segment: [],
      scores: ['distance'],
      sieve: ['distance'],
      balance: ['distance'],
      kmeans: ['sieve', 'distance', 'balance'],
      lists: ['scores', 'distance', 'codes'],
      codes: ['distance'],
      estimate: [],
      signs: ['codes'],
      turn: [],
      compare: ['distance', 'topk'],
      scan: ['codes', 'lists', 'distance', 'topk'],
    };
    for (const [name, source] of sources) {
      const used = [...source.matchAll(/\b(sv_\w+)\s*\(/g)].map(([, symbol]) =>
        definedIn.get(symbol),
      );
      const others = [...new Set(used)].filter((other) => other !== undefined && other !== name);
      assert.ok(allowed[name], `${name}.c has a place`);
      assert.deepEqual(
        others.filter((other) => !allowed[name].includes(other)),
        [],
        `${name}.c`,
      );
    }
  });

  test('has no file over 500 lines and no line over 80 columns', () => {
    for (const file of [...C, ...HEADERS]) {
      const lines = text(file).trimEnd().split('\n');
      assert.ok(lines.length <= 500, `${file} has ${lines.length} lines`);
      lines.forEach((line, i) => assert.ok(line.length <= 80, `${file}:${i + 1}`));
    }
  });
});
