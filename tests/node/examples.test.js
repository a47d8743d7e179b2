// Every example runs as it is and says what it is there to show.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NeedleFinder } from '../../examples/find-needles.js';

const folder = fileURLToPath(new URL('../../examples/', import.meta.url));
const run = promisify(execFile);
const MODULES = ['find-needles.js', 'read-npy.js'];

const EXPECTED = {
  'custom-storage.js': [/^the storage passes all \d+ tests of the suite$/m, /^ {2}index\/notes$/m],
  'demo.js': [
    /^ +untrained +1\.0000 +[\d,]+ +20,000$/m,
    /^ +trained +0\.9[4-9]\d\d +[\d,]+ +[1-9],\d{3}$/m,
    /^ +wrong key +WRONG_KEY:/m,
    /^ +found +0$/m,
    /^ +control +1,/m,
  ],
  'key-file.js': [/nearest is b$/m, /^without a key: WRONG_KEY$/m],
  'metadata-filters.js': [
    /^\{\} +Metropolis, Solaris, Stalker$/m,
    /"\$nor".* Solaris, Stalker$/m,
    /"\$where".* INVALID_ARGUMENT$/m,
  ],
  'node-quickstart.js': [/^tea +0\.006 .*\ncoffee/m],
  'train-and-tune.js': [
    /^untrained: exact is true$/m,
    /^stopped: AbortError, isTrained is false$/m,
    /^\{"nProbes":128\} +recall 1\.000, 20001 of 20001 .* exact is true$/m,
  ],
  'users.js': [
    /^Ann counts: done\nAnn writes: PERMISSION_DENIED\nBob writes: done$/m,
    /^Bob with the key of Ann counts: WRONG_KEY\nBob counts, when he has left: WRONG_KEY$/m,
    /^3 items for Ann,/m,
    /^the old key: WRONG_KEY\nthe new key, and the anchor: done$/m,
  ],
  'two-processes.js': [/^writers ended with 0 and 0$/m, /^80 items, expected 80$/m],
};

test('names every example here', async () => {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.js'));
  assert.deepEqual(files.sort(), [...Object.keys(EXPECTED), ...MODULES].sort());
});

for (const [name, patterns] of Object.entries(EXPECTED)) {
  test(`${name} runs, warns of nothing and leaves nothing behind`, async () => {
    const temporary = await mkdtemp(path.join(os.tmpdir(), 'sealvec-examples-'));
    try {
      const env = { ...process.env, TMPDIR: temporary, TEMP: temporary };
      const options = { env, timeout: 120_000 };
      const { stdout, stderr } = await run('node', [path.join(folder, name)], options);
      for (const pattern of patterns) assert.match(stdout, pattern);
      assert.equal(stderr, '');
      assert.deepEqual(await readdir(temporary), []);
    } finally {
      await rm(temporary, { recursive: true });
    }
  });
}

test('examples other than the demo are shorter than 60 lines', async () => {
  for (const name of Object.keys(EXPECTED).filter((name) => name !== 'demo.js')) {
    const lines = (await readFile(path.join(folder, name), 'utf8')).split('\n').length - 1;
    assert.ok(lines <= 60, `${name}: ${lines} lines`);
  }
});

test('find-needles.js finds each needle at every offset, whole or not at all', () => {
  const needle = Buffer.from('a needle');
  for (let at = 0; at <= 24; at++) {
    const hay = Buffer.alloc(32, 'a ');
    needle.copy(hay, at);
    const finder = new NeedleFinder([needle]);
    finder.scan(hay.subarray(0, at + needle.length - 1));
    assert.equal(finder.found.size, 0);
    finder.scan(hay);
    assert.equal(finder.found.size, 1);
    assert.equal(finder.bytes, at + needle.length - 1 + 32);
  }
});
