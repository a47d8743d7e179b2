// The cryptography of the shipped sealvec.wasm, called through its raw exports: published known
// answers, an independent implementation at every length from 0 to 4096, and the build without
// SIMD. A round trip proves nothing here: a compiler that breaks the keystream breaks both ways.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { argon2id } from '@noble/hashes/argon2.js';
import { blake2b } from '@noble/hashes/blake2.js';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { AUTH_FAILED, Core, hchacha20, hex, sealReference, unhex } from './support/raw-core.js';

const MAX = 4096;

const core = new Core('dist/sealvec.wasm');
const portable = new Core('build/portable.wasm');

const sequence = (n, first = 0) => Uint8Array.from({ length: n }, (_, i) => first + i);
/** Repeatable bytes: the AES-CTR keystream of a seed. */
const bytesOf = (seed, n) => {
  const cipher = crypto.createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
  return new Uint8Array(cipher.update(Buffer.alloc(n)));
};
const stream = bytesOf(1, MAX);
const key = bytesOf(2, 32);
const nonces = bytesOf(3, 24 + MAX);

/** An Ed25519 seed as OpenSSL takes it. */
function secretKey(seed) {
  const der = Buffer.concat([unhex('302e020100300506032b657004220420'), seed]);
  return crypto.createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

test('imports nothing but the notice of memory growth', () => {
  for (const { module } of [core, portable]) {
    assert.deepEqual(WebAssembly.Module.imports(module), [
      { module: 'env', name: 'emscripten_notify_memory_growth', kind: 'function' },
    ]);
  }
});

test('seals the example of draft-irtf-cfrg-xchacha-03, appendix A.3.1', () => {
  const secret = sequence(32, 0x80);
  const nonce = sequence(24, 0x40);
  const aad = unhex('50515253c0c1c2c3c4c5c6c7');
  const plain = new TextEncoder().encode(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the " +
      'future, sunscreen would be it.',
  );
  const expected = `${hex(nonce)}
    bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb
    731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452
    2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9
    21f9664c97637da9768812f615c68b13b52e
    c0875924c1c7987947deafd8780acf49`.replace(/\s/g, '');
  for (const each of [core, portable]) {
    const sealed = each.seal(secret, nonce, aad, plain);
    assert.equal(hex(sealed), expected);
    const [code, opened] = each.open(secret, aad, sealed);
    assert.equal(code, 0);
    assert.deepEqual(opened, plain);
  }
});

test('the reference derives the subkey of draft-irtf-cfrg-xchacha-03, section 2.2.1', () => {
  const nonce = unhex('000000090000004a0000000031415927');
  assert.equal(
    hex(hchacha20(sequence(32), nonce)),
    '82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc',
  );
});

test('seals every length from 0 to 4096 as OpenSSL and the portable build do', () => {
  for (let length = 0; length <= MAX; length++) {
    const nonce = nonces.subarray(length, length + 24);
    const plain = stream.subarray(MAX - length);
    const aad = stream.subarray(0, length % 129);
    const sealed = core.seal(key, nonce, aad, plain);
    const expected = sealReference(key, nonce, aad, plain);
    assert.ok(expected.equals(sealed), `length ${length}`);
    assert.ok(expected.equals(portable.seal(key, nonce, aad, plain)), `portable, length ${length}`);
  }
});

test('opens every length from 0 to 4096 sealed by OpenSSL', () => {
  for (let length = 0; length <= MAX; length++) {
    const nonce = nonces.subarray(length, length + 24);
    const plain = stream.subarray(MAX - length);
    const aad = stream.subarray(0, length % 129);
    const sealed = sealReference(key, nonce, aad, plain);
    for (const each of [core, portable]) {
      const [code, opened] = each.open(key, aad, sealed);
      assert.ok(code === 0 && Buffer.from(plain).equals(opened), `length ${length}`);
    }
  }
});

/** What is made of the first n bytes of a stream, one after another; tests/c/test_lengths.c. */
function madeBy(each, bytes, secret, nonce, n) {
  const message = bytes.subarray(0, n);
  const dkLen = 16 + (n % 49);
  return Buffer.concat([
    each.seal(secret, nonce, bytes.subarray(0, n % 113), message),
    each.get('sv_hash', message, n, { out: 32 }),
    each.get('sv_derive', secret, message, n, { out: dkLen }, dkLen),
    n % 16 === 0 ? each.get('sv_sign', secret, message, n, { out: 64 }) : Buffer.alloc(0),
  ]);
}

/** The same by other implementations. */
function madeElsewhere(bytes, secret, nonce, n) {
  const message = bytes.subarray(0, n);
  return Buffer.concat([
    sealReference(secret, nonce, bytes.subarray(0, n % 113), message),
    blake2b(message, { dkLen: 32 }), blake2b(message, { key: secret, dkLen: 16 + (n % 49) }),
    n % 16 === 0 ? crypto.sign(null, message, secretKey(secret)) : Buffer.alloc(0),
  ]);
}

test('makes of every length from 0 to 4096 what the native core makes', () => {
  const source = fs.readFileSync(new URL('../c/test_lengths.c', import.meta.url), 'utf8');
  const [, expected] = source.match(/expected\[\] =\s+"([0-9a-f]{64})"/);
  const fill = (n, state) => Uint8Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
  const [bytes, secret, all] = [fill(MAX, 1), fill(32, 2), fill(MAX + 24, 3)];
  const digest = (make) => {
    let made = Buffer.alloc(32);
    for (let n = 0; n <= MAX; n++) {
      const parts = make(bytes, secret, all.subarray(n, n + 24), n);
      made = blake2b(Buffer.concat([made, parts]), { dkLen: 32 });
    }
    return hex(made);
  };
  assert.equal(digest((...given) => madeBy(core, ...given)), expected);
  assert.equal(digest((...given) => madeBy(portable, ...given)), expected);
  assert.equal(digest(madeElsewhere), expected);
});

test('zeroes the output when the tag is wrong, at every length from 0 to 4096', () => {
  for (let length = 0; length <= MAX; length++) {
    const sealed = core.seal(key, nonces.subarray(0, 24), key, stream.subarray(0, length));
    sealed[sealed.length - 1 - (length % sealed.length)] ^= 1;
    const [code, opened] = core.open(key, key, sealed);
    assert.equal(code, AUTH_FAILED);
    assert.ok(opened.every((byte) => byte === 0), `length ${length}`);
  }
});

test('seals a section of three chunks as @noble/ciphers does, each bound to its place', () => {
  const CHUNK = 4056;
  const plain = bytesOf(4, 2 * CHUNK + 1000);
  const chunkNonces = bytesOf(5, 3 * 24);
  const aad = bytesOf(6, 112);
  const place = new Uint8Array(128);
  place.set(aad);
  const parts = [0, 1, 2].map((chunk) => {
    const part = plain.subarray(chunk * CHUNK, (chunk + 1) * CHUNK);
    const nonce = chunkNonces.subarray(24 * chunk, 24 * chunk + 24);
    [9, chunk, 3, part.length].forEach((value, i) =>
      new DataView(place.buffer).setUint32(112 + 4 * i, value, true));
    return Buffer.concat([nonce, xchacha20poly1305(key, nonce, place).encrypt(part)]);
  });
  const expected = Buffer.concat(parts);
  const hashes = parts.map((part) => hex(blake2b(part, { dkLen: 32 }))).join('');
  for (const each of [core, portable]) {
    const section = [key, aad, aad.length, 9, plain.length, CHUNK, 0, 3, chunkNonces, plain];
    const space = new Uint8Array(expected.length);
    assert.equal(hex(each.get('sv_seal_chunks', ...section, space, { out: 96 })), hashes);
    const sealed = each.get('sv_seal_chunks', ...section, { out: space.length }, space);
    assert.ok(expected.equals(sealed));
    const last = sealed.subarray(CHUNK + 40);
    const opened = each.get(
      'sv_open_chunks', key, aad, aad.length, 9, plain.length, CHUNK, 1, 2, last, last.length,
      unhex(hashes).subarray(32), { out: CHUNK + 1000 },
    );
    assert.ok(Buffer.from(plain.subarray(CHUNK)).equals(opened));
  }
});

test('hashes the published examples of BLAKE2b-256', () => {
  const examples = [
    ['', '0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8'],
    ['abc', 'bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319'],
  ];
  for (const [text, expected] of examples) {
    const bytes = new TextEncoder().encode(text);
    for (const each of [core, portable]) {
      assert.equal(hex(each.get('sv_hash', bytes, bytes.length, { out: 32 })), expected);
    }
  }
});

test('hashes every length from 0 to 4096 as @noble/hashes and the portable build do', () => {
  for (let length = 0; length <= MAX; length++) {
    const bytes = stream.subarray(0, length);
    const expected = hex(blake2b(bytes, { dkLen: 32 }));
    for (const each of [core, portable]) {
      const hash = each.get('sv_hash', bytes, length, { out: 32 });
      assert.equal(hex(hash), expected, `length ${length}`);
    }
  }
});

test('derives from every length from 0 to 4096 and to every length as @noble/hashes does', () => {
  for (let length = 0; length <= MAX; length++) {
    const context = stream.subarray(0, length);
    const dkLen = 16 + (length % 49);
    const expected = hex(blake2b(context, { key, dkLen }));
    for (const each of [core, portable]) {
      const derived = each.get('sv_derive', key, context, length, { out: dkLen }, dkLen);
      assert.equal(hex(derived), expected, `length ${length}, output ${dkLen}`);
    }
  }
});

const stretch = (each, passphrase, salt, memory, passes, length) => each.get(
  'sv_stretch', passphrase, passphrase.length, salt, memory, passes, { out: length }, length,
);

test('@noble/hashes gives the key of RFC 9106, section 5.3', () => {
  const [passphrase, salt] = [new Uint8Array(32).fill(1), new Uint8Array(16).fill(2)];
  const others = { key: new Uint8Array(8).fill(3), personalization: new Uint8Array(12).fill(4) };
  assert.equal(
    hex(argon2id(passphrase, salt, { t: 3, m: 32, p: 4, dkLen: 32, ...others })),
    '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659',
  );
});

test('stretches with less than 8 KiB or more than 2 GiB never', () => {
  for (const memory of [0, 7, 2 ** 21 + 1, 2 ** 32 - 1]) {
    const [code] = core.call('sv_stretch', key, 32, nonces, memory, 1, { out: 32 }, 32);
    assert.equal(code, -1, `${memory} KiB`);
  }
});

test('stretches to the keys of @noble/hashes, at any cost and at the least allowed', () => {
  const costs = [[8, 1], [9, 2], [15, 3], [512, 1], [515, 5], [4099, 2], [65_536, 2]];
  costs.forEach(([m, t], i) => {
    const passphrase = stream.subarray(0, i * 37);
    const salt = stream.subarray(i, i + 16);
    const dkLen = m > 5000 ? 32 : 16 + 9 * i;
    const expected = hex(argon2id(passphrase, salt, { t, m, p: 1, dkLen }));
    for (const each of [core, portable]) {
      const made = stretch(each, passphrase, salt, m, t, dkLen);
      assert.equal(hex(made), expected, `${m} KiB, ${t} passes`);
    }
  });
});

// RFC 8032, section 7.1: seed, public key, message, signature.
const ED25519 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    `e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155
     5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b`,
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    `92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da
     085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00`,
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    `6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac
     18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a`,
  ],
];

test('signs and verifies the examples of RFC 8032, section 7.1', () => {
  for (const [seed, publicKey, message, signature] of ED25519) {
    const bytes = unhex(message);
    for (const each of [core, portable]) {
      const signed = each.get('sv_sign', unhex(seed), bytes, bytes.length, { out: 64 });
      assert.equal(hex(each.get('sv_sign_public', unhex(seed), { out: 32 })), publicKey);
      assert.equal(hex(signed), signature.replace(/\s/g, ''));
      each.get('sv_verify', unhex(publicKey), bytes, bytes.length, signed);
      signed[63] ^= 1;
      const [code] = each.call('sv_verify', unhex(publicKey), bytes, bytes.length, signed);
      assert.equal(code, AUTH_FAILED);
    }
  }
});

test('signs lengths from 0 to 4096 as OpenSSL does', () => {
  const seed = bytesOf(7, 32);
  const secret = secretKey(seed);
  for (let length = 0; length <= MAX; length += length < 260 ? 1 : 37) {
    const message = stream.subarray(0, length);
    const expected = hex(crypto.sign(null, message, secret));
    const signed = core.get('sv_sign', seed, message, length, { out: 64 });
    assert.equal(hex(signed), expected, `length ${length}`);
  }
});

test('verifies nothing that is not canonical: a signature with the group order added to s', () => {
  const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
  const [seed, publicKey] = ED25519[0].map(unhex);
  const signed = core.get('sv_sign', seed, key, 32, { out: 64 });
  assert.equal(core.call('sv_verify', publicKey, key, 32, signed)[0], 0);
  let s = BigInt(`0x${hex(signed.slice(32).reverse())}`) + ORDER;
  for (let i = 32; i < 64; i++, s >>= 8n) signed[i] = Number(s & 255n);
  assert.equal(core.call('sv_verify', publicKey, key, 32, signed)[0], AUTH_FAILED);
});

// SipHash-2-4 of 0, 1, ... 63 bytes counting from 0 under the key 00 01 .. 0f, from the authors'
// reference code.
const SIPHASH = [
  '310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785',
  'b7877127e09427cf 8da699cd64557618 cee3fe586e46c9cb 37d1018bf50002ab',
  '6224939a79f5f593 b0e4a90bdf82009e f3b9dd94c5bb5d7a a7ad6b22462fb3f4',
  'fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1',
  'db9bc2577fcc2a3f 9447be2cf5e99a69 9cd38d96f0b3c14b bd6179a71dc96dbb',
  '98eea21af25cd6be c7673b2eb0cbf2d0 883ea3e395675393 c8ce5ccd8c030ca8',
  '94af49f6c650adb8 eab8858ade92e1bc f315bb5bb835d817 adcf6b0763612e2f',
  'a5c91da7acaa4dde 716595876650a2a6 28ef495c53a387ad 42c341d8fa92d832',
  'ce7cf2722f512771 e37859f94623f3a7 381205bb1ab0e012 ae97a10fd434e015',
  'b4a31508beff4d31 81396229f0907902 4d0cf49ee5d4dcca 5c73336a76d8bf9a',
  'd0a704536ba93e0e 925958fcd6420cad a915c29bc8067318 952b79f3bc0aa6d4',
  'f21df2e41d4535f9 87577519048f53a9 10a56cf5dfcd9adb eb75095ccd986cd0',
  '51a9cb9ecba312e6 96afadfc2ce666c7 72fe52975a4364ee 5a1645b276d592a1',
  'b274cb8ebf87870a 6f9bb4203de7b381 eaecb2a30b22a87f 9924a43cc1315724',
  'bd838d3aafbf8db7 0b1a2a3265d51aea 135079a3231ce660 932b2846e4d70666',
  'e1915f5cb1eca46c f325965ca16d629f 575ff28e60381be5 724506eb4c328a95',
].join(' ').split(' ');

test('hashes ids as the reference vectors of SipHash-2-4', () => {
  // One blob section of 64 ids, the id i being i bytes counting from 0.
  const n = SIPHASH.length;
  const section = new Uint8Array(4 * (n + 1) + (n * (n - 1)) / 2);
  let end = 0;
  for (let i = 0; i < n; i++) {
    section.set(sequence(i), 4 * (n + 1) + end);
    end += i;
    new DataView(section.buffer).setUint32(4 * (i + 1), end, true);
  }
  for (const each of [core, portable]) {
    const hashes = each.get('sv_id_hashes', sequence(16), section, n, { out: 8 * n });
    SIPHASH.forEach((expected, i) =>
      assert.equal(hex(hashes.subarray(8 * i, 8 * i + 8)), expected, `length ${i}`));
  }
});

test('compares in full and wipes in full', () => {
  for (let length = 0; length < 200; length++) {
    const bytes = stream.slice(0, length);
    assert.equal(core.call('sv_equal', bytes, bytes, length)[0], 1);
    if (length === 0) continue;
    const other = bytes.slice();
    other[length - 1] ^= 1;
    assert.equal(core.call('sv_equal', bytes, other, length)[0], 0);
    const [, wiped] = core.call('sv_wipe', { out: length + 1 }, length);
    assert.ok(wiped.subarray(0, length).every((byte) => byte === 0));
    assert.equal(wiped[length], 0xee);
  }
});
