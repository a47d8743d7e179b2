import { codeOf, type Context, same, sameKeys, sample } from './suite-checks.js';

/** The tests of storageSuite: what holds for every Storage. */

const SIZES = [0, 1, 65_536, 9 * 1024 * 1024];
const LONGEST = `${'a'.repeat(199)}/${'b'.repeat(200)}`;
const GOOD_KEYS = [
  'a',
  'abcdefghijklmnopqrstuvwxyz0123456789-_.%',
  'a%2f..b/c.d./-/_/%/...',
  'nul/con.txt/0',
  '.tmp/a',
  '.a/.tmp',
  'x'.repeat(400),
  LONGEST,
  'y/'.repeat(199) + 'yy',
];
// prettier-ignore
const BAD_KEYS: unknown[] = [
  '', '/', '/a', 'a/', 'a//b', '.', '..', 'a/../b', './a', 'a/.', 'A', 'ä', 'a b', 'a\\b', 'a\0b',
  'a\n', 'a:b', '~a', 'a+', 'x'.repeat(401), undefined, null, 7,
];

export const storageCases: [name: string, body: (context: Context) => Promise<void>][] = [
  [
    'reads what was created, at every size, as an array that owns its buffer',
    async ({ storage, check }) => {
      for (const size of SIZES) {
        check(await storage.create(`size/${size}`, sample(size)), `create of ${size} bytes`);
        const got = await storage.read(`size/${size}`);
        check(same(got, sample(size)), `${size} bytes come back as they were`);
        check(got?.byteOffset === 0 && got.buffer.byteLength === size, `buffer of ${size} bytes`);
        check(got?.constructor.name === 'Uint8Array', 'a Uint8Array and no subclass of it');
      }
    },
  ],
  [
    'answers undefined for an object that does not exist',
    async ({ storage, check }) => {
      check((await storage.read('nothing')) === undefined, 'in an empty storage');
      await storage.create('a/b', sample(3));
      for (const key of ['a', 'a/b/c', 'a/c', 'a/b2', 'b']) {
        check((await storage.read(key)) === undefined, key);
        const range = { offset: 0, length: 0 };
        check((await storage.read(key, range)) === undefined, `${key} with a range`);
      }
    },
  ],
  [
    'refuses to create what exists and leaves it unchanged',
    async ({ storage, check }) => {
      check((await storage.create('m/1', sample(100, 1))) === true, 'the first');
      check((await storage.create('m/1', sample(100, 2))) === false, 'the second');
      check((await storage.create('m/1', sample(0))) === false, 'the third');
      check(same(await storage.read('m/1'), sample(100, 1)), 'the first content stays');
      check((await storage.create('m/0', sample(0))) === true, 'an empty one');
      check((await storage.create('m/0', sample(5))) === false, 'an empty object exists too');
    },
  ],
  [
    'reads ranges inside, over, at and past the end',
    async ({ storage, check }) => {
      const size = 200_000;
      const whole = sample(size);
      await storage.create('r', whole);
      const ranges: [offset: number, length: number][] = [
        [0, 1],
        [0, size],
        [65_536, 65_536],
        [199_999, 1],
        [199_990, 100],
        [0, size + 1],
        [1, Number.MAX_SAFE_INTEGER],
        [size, 10],
        [size + 5, 10],
        [2 ** 40, 10],
        [5, 0],
        [size, 0],
      ];
      for (const [offset, length] of ranges) {
        const got = await storage.read('r', { offset, length });
        const want = whole.slice(offset, offset + length);
        check(same(got, want), `${length} bytes from ${offset}`);
        check(got?.buffer.byteLength === want.length, `buffer of ${length} bytes from ${offset}`);
      }
      for (const range of [{ offset: -1, length: 1 }, { offset: 0, length: 1.5 }]) {
        const code = await codeOf(() => storage.read('r', range));
        check(code === 'INVALID_ARGUMENT', `refuses ${JSON.stringify(range)}`);
      }
    },
  ],
  [
    'reads many parts of an object in one call, where it can, as it reads them one by one',
    async ({ storage, check }) => {
      if (!storage.readParts) return;
      for (const [key, size] of [['parts/s', 5000], ['parts/l', 900_000]] as const) {
        const whole = sample(size);
        await storage.create(key, whole);
        const parts = [
          [0, 10], [5, 10], [300, 0], [400, 4000], [size >> 1, 300_000], [size - 5, 10], [size, 5],
          [size + 9, 1], [64, 64],
        ].map(([offset = 0, length = 0]) => ({ offset, length }));
        const got = await storage.readParts(key, parts);
        check(got?.length === parts.length, `as many arrays of ${key} as parts`);
        parts.forEach(({ offset, length }, i) => {
          const want = whole.slice(offset, offset + length);
          check(same(got?.[i], want), `${length} bytes of ${key} from ${offset}`);
        });
        const one = await storage.readParts(key, parts.slice(0, 1));
        check(one?.length === 1 && same(one[0], whole.slice(0, 10)), 'one part');
        check((await storage.readParts(key, []))?.length === 0, 'no part at all');
        got?.forEach((bytes) => bytes.fill(0));
        check(same(await storage.read(key), whole), 'what was returned may be changed');
      }
      const part = { offset: 0, length: 1 };
      for (const key of ['parts', 'parts/n', 'parts/s/x']) {
        check((await storage.readParts(key, [part])) === undefined, `undefined for ${key}`);
      }
      for (const [key, bad] of [['a/', part], ['parts/s', { offset: -1, length: 1 }]] as const) {
        const code = await codeOf(async () => storage.readParts?.(key, [part, bad]));
        check(code === 'INVALID_ARGUMENT', `refuses ${JSON.stringify([key, bad])}`);
      }
    },
  ],
  [
    'keeps its objects when the arrays given or returned are changed',
    async ({ storage, check }) => {
      const given = sample(1000);
      await storage.create('c', given);
      given.fill(0);
      (await storage.read('c'))?.fill(1);
      (await storage.read('c', { offset: 0, length: 10 }))?.fill(2);
      check(same(await storage.read('c'), sample(1000)), 'the content is the first');
    },
  ],
  [
    'stores only the view when given a view of a larger buffer',
    async ({ storage, check }) => {
      const large = sample(5000);
      await storage.create('v', large.subarray(1001, 2002));
      check(same(await storage.read('v'), sample(5000).slice(1001, 2002)), 'just the view');
    },
  ],
  [
    'lets exactly one of 50 concurrent creates of one key succeed',
    async ({ storage, check }) => {
      const racers = Array.from({ length: 50 }, (_, i) => sample(1000 + i, i));
      const won = await Promise.all(racers.map((bytes) => storage.create('race/1', bytes)));
      check(won.filter((w) => w === true).length === 1, 'one winner');
      check(won.filter((w) => w === false).length === 49, '49 losers');
      const winner = racers[won.indexOf(true)] ?? sample(0);
      check(same(await storage.read('race/1'), winner), "the winner's bytes are there");
    },
  ],
  [
    'lists by prefix, whether or not it ends at a folder',
    async ({ storage, check }) => {
      const keys = ['a/b/c', 'a/b/d', 'a/bc', 'a.b', 'ab/c', 'b', 'a/b.c/d/e'];
      check(sameKeys(await storage.list(''), []), 'nothing at first');
      for (const key of keys) await storage.create(key, sample(2));
      const prefixes = ['', 'a', 'a/', 'a/b', 'a/b/', 'a/b/c', 'a/b/c/', 'a/bc', 'b', 'b/', 'c/d'];
      for (const prefix of prefixes) {
        const want = keys.filter((key) => key.startsWith(prefix));
        check(sameKeys(await storage.list(prefix), want), `prefix "${prefix}"`);
      }
      for (const prefix of ['/', 'a//', '../', 'A', 5]) {
        const code = await codeOf(() => storage.list(prefix as string));
        check(code === 'INVALID_ARGUMENT', `refuses prefix ${JSON.stringify(prefix)}`);
      }
    },
  ],
  [
    'deletes many objects and ignores those that do not exist',
    async ({ storage, check }) => {
      const keys = Array.from({ length: 60 }, (_, i) => `d/${i % 3}/${i}`);
      await Promise.all(keys.map((key) => storage.create(key, sample(10))));
      await storage.delete([]);
      await storage.delete([...keys.slice(10), 'd/0', 'd/none', 'none/at/all', 'd/0/0/x']);
      check(sameKeys(await storage.list(''), keys.slice(0, 10)), 'ten remain');
      check((await storage.read('d/1/10')) === undefined, 'a deleted one is gone');
      await storage.delete(keys);
      check(sameKeys(await storage.list(''), []), 'none remains');
    },
  ],
  [
    'creates again what was deleted',
    async ({ storage, check }) => {
      for (let i = 0; i < 5; i++) {
        check(await storage.create('e/f/g', sample(20, i)), `create ${i}`);
        check(same(await storage.read('e/f/g'), sample(20, i)), `content ${i}`);
        await storage.delete(['e/f/g']);
      }
    },
  ],
  [
    'creates while neighbours are deleted',
    async ({ storage, check }) => {
      const work = Array.from({ length: 30 }, async (_, i) => {
        const key = `n/${i % 2}/${i}`;
        check(await storage.create(key, sample(5)), `create of ${key}`);
        await storage.delete([key]);
      });
      await Promise.all(work);
      check(sameKeys(await storage.list(''), []), 'all are gone');
    },
  ],
  [
    'still holds everything when it is opened again',
    async ({ storage, reopen, check }) => {
      await storage.create('p/1', sample(1000, 1));
      await storage.create('p/2', sample(0));
      await storage.create('p/3', sample(1));
      await storage.delete(['p/3']);
      const again = await reopen();
      check(sameKeys(await again.list('p/'), ['p/1', 'p/2']), 'the keys');
      check(same(await again.read('p/1'), sample(1000, 1)), 'the content');
      check((await again.create('p/2', sample(9))) === false, 'what exists is refused');
      await again.close();
    },
  ],
  [
    'takes every allowed character and the longest keys',
    async ({ storage, check }) => {
      for (const [i, key] of GOOD_KEYS.entries()) {
        // One at a time: some of them are folders of others.
        check(await storage.create(key, sample(10, i)), `create of ${key}`);
        check(same(await storage.read(key), sample(10, i)), `read of ${key}`);
        check(sameKeys(await storage.list(''), [key]), `list of ${key}`);
        check(sameKeys(await storage.list(key.slice(0, -1)), [key]), `prefix of ${key}`);
        check(sameKeys(await storage.list(key), [key]), `whole prefix ${key}`);
        await storage.delete([key]);
      }
    },
  ],
  [
    'refuses keys that are not keys, and bytes that are not bytes',
    async ({ storage, check }) => {
      for (const bad of BAD_KEYS) {
        const key = bad as string;
        const codes = [
          await codeOf(() => storage.read(key)),
          await codeOf(() => storage.create(key, sample(1))),
          await codeOf(() => storage.delete(['a', key])),
        ];
        check(
          codes.every((code) => code === 'INVALID_ARGUMENT'),
          `refuses ${JSON.stringify(bad)}: ${codes.join()}`,
        );
      }
      for (const bad of ['text', [1, 2], new ArrayBuffer(2), new Uint16Array(1), null, undefined]) {
        const code = await codeOf(() => storage.create('a', bad as unknown as Uint8Array));
        check(code === 'INVALID_ARGUMENT', 'refuses other types for bytes');
      }
      check(sameKeys(await storage.list(''), []), 'nothing was created');
    },
  ],
  [
    'rejects every call with CLOSED once it is closed',
    async ({ storage, check }) => {
      await storage.create('x', sample(1));
      await storage.close();
      await storage.close();
      const codes = [
        await codeOf(() => storage.read('x')),
        await codeOf(() => storage.create('y', sample(1))),
        await codeOf(() => storage.delete(['x'])),
        await codeOf(() => storage.list('')),
        storage.readParts ? await codeOf(async () => storage.readParts?.('x', [])) : 'CLOSED',
      ];
      check(
        codes.every((code) => code === 'CLOSED'),
        codes.join(),
      );
    },
  ],
];
