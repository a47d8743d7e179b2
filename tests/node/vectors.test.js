// The shipped sealvec.wasm against test vectors made by others: those of libsodium's own tests,
// read from the source that the wasm is built of, and those of Project Wycheproof. `make vectors`
// fetches both, by version and hash; neither is kept here.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import { test } from 'node:test';
import { blake2b } from '@noble/hashes/blake2.js';
import { AUTH_FAILED, Core, hchacha20, hex, unhex } from './support/raw-core.js';

const cores = [new Core('dist/sealvec.wasm'), new Core('build/portable.wasm')];
const built = (path) => fs.readFileSync(new URL(`../../build/${path}`, import.meta.url), 'latin1');
const sodium = (name) => built(`libsodium/test/default/${name}`);
const wycheproof = (name) => JSON.parse(built(`download/wycheproof/${name}_test.json`));
const casesOf = ({ testGroups }) =>
  testGroups.flatMap(({ tests, ...group }) => tests.map((one) => ({ ...group, ...one })));
const lines = (text) => text.trim().split('\n');
const join = (...parts) => new Uint8Array(Buffer.concat(parts));
const sequence = (n) => Uint8Array.from({ length: n }, (_, i) => i);

/** The rows of a table of strings in a C source, from a marker on. */
function table(source, marker) {
  const from = source.indexOf('[] = {', source.indexOf(marker)) + 6;
  assert.ok(from > 5, marker);
  const body = source.slice(from, source.slice(from).search(/\n *\};/) + from);
  return [...body.matchAll(/\{([^{}]*)\}/g)].map(([, row]) =>
    row.replace(/"\s+"/g, '').split(',').map((cell) => cell.trim().replace(/^"|"$/g, '')));
}

/** All bytes that a C source writes as 0x12 or "\x12". */
const bytesIn = (text) =>
  Uint8Array.from(text.match(/[0\\]x[0-9a-f]{2}/g) ?? [], (byte) => parseInt(byte.slice(2), 16));

function refuses(core, name, ...args) {
  const [code, out] = core.call(name, ...args);
  assert.equal(code, AUTH_FAILED);
  assert.ok(!out || out.every((byte) => byte === 0), 'what was not authenticated is zeroed');
}

test("seals and opens libsodium's example of XChaCha20-Poly1305", () => {
  const source = sodium('aead_xchacha20poly1305.c');
  const array = (name) => bytesIn(source.match(new RegExp(`${name}\\[[^=]*= \\{([^}]*)\\}`))[1]);
  // The first call's key; the test goes on with others.
  const key = bytesIn(source.match(/firstkey\[[^{]*\{([^}]*)\}/)[1]);
  const [nonce, aad] = [array('nonce'), array('ad')];
  const text = source.match(/#define MESSAGE "(.*)" \\\n\s*"(.*)"/);
  const plain = new TextEncoder().encode(text[1] + text[2]);
  const expected = bytesIn(sodium('aead_xchacha20poly1305.exp')).subarray(0, plain.length + 16);
  assert.deepEqual([key.length, nonce.length, aad.length, plain.length], [32, 24, 12, 114]);
  for (const core of cores) {
    assert.equal(hex(core.seal(key, nonce, aad, plain)), hex(join(nonce, expected)));
    assert.deepEqual(core.open(key, aad, join(nonce, expected)), [0, plain]);
  }
});

test("has the keystreams of libsodium's tests of XChaCha20, behind the block for Poly1305", () => {
  const rows = table(sodium('xchacha20.c'), 'static const XChaCha20TV tvs[]');
  const long = rows.filter(([, , out]) => out.length > 128);
  assert.deepEqual([rows.length, long.length], [10, 2]);
  for (const [key, nonce, out] of long) {
    const rest = out.slice(128);
    for (const core of cores) {
      const plain = new Uint8Array(rest.length / 2);
      const sealed = core.seal(unhex(key), unhex(nonce), plain.subarray(0, 0), plain);
      assert.equal(hex(sealed.subarray(24, -16)), rest);
    }
  }
});

test("the reference derives the subkeys of libsodium's tests of HChaCha20", () => {
  const rows = table(sodium('xchacha20.c'), 'static const HChaCha20TV tvs[]');
  assert.equal(rows.length, 10);
  for (const [key, input, out] of rows) assert.equal(hex(hchacha20(unhex(key), unhex(input))), out);
});

test("derives what libsodium's test of BLAKE2b does with a key of 32 bytes", () => {
  const message = join(...Array.from({ length: 3 }, () => sequence(31)));
  const expected = lines(sodium('generichash2.exp'))[31];
  for (const core of cores) {
    const out = core.get('sv_derive', sequence(32), message, message.length, { out: 32 }, 32);
    assert.equal(hex(out), expected);
  }
});

test("@noble/hashes, which keyed BLAKE2b is compared with, passes libsodium's tests of it", () => {
  const rows = table(sodium('generichash.c'), '} tests');
  assert.equal(rows.length, 256);
  for (const [message, key, out] of rows) {
    assert.equal(hex(blake2b(unhex(message), { key: unhex(key), dkLen: 64 })), out);
  }
  lines(sodium('generichash2.exp')).forEach((out, i) => {
    const message = join(...Array.from({ length: 3 }, () => sequence(i)));
    assert.equal(hex(blake2b(message, { key: sequence(1 + i), dkLen: 1 + i })), out);
  });
});

test("stretches all passphrases of libsodium's tests of Argon2id", () => {
  const source = sodium('pwhash_argon2id.c');
  const rows = [...table(source, '\ntv('), ...table(source, '\ntv2(')];
  const outputs = lines(sodium('pwhash_argon2id.exp'));
  assert.equal(rows.length, 10);
  // One asks for 5 bytes, fewer than libsodium gives.
  const known = rows.map((row, i) => [...row, outputs[i]])
    .filter(([, , , , , , , output]) => !output.startsWith('[tv]'));
  assert.equal(known.length, 9);
  for (const [text, size, salt, length, passes, memory, , expected] of known) {
    const passphrase = unhex(text).subarray(0, Number(size));
    for (const core of cores) {
      const out = core.get(
        'sv_stretch', passphrase, passphrase.length, unhex(salt).subarray(0, 16),
        Math.floor(Number(memory) / 1024), Number(passes), { out: Number(length) }, Number(length),
      );
      assert.equal(hex(out), expected);
    }
  }
});

/** Seed, public key, signature and message of each line of libsodium's test of Ed25519. */
function signatures() {
  const rows = lines(sodium('sign.c')).filter((line) => line.startsWith('{{0x'));
  return rows.map((row) => {
    const [seed, publicKey, signature] =
      [...row.matchAll(/\{(0x[^}]*)\}/g)].map(([, bytes]) => bytesIn(bytes));
    return { seed, publicKey, signature, message: bytesIn(row.match(/"(.*)"/)[1]) };
  });
}

test("signs and verifies the 1,024 messages of libsodium's test of Ed25519", () => {
  const rows = signatures();
  assert.equal(rows.length, 1024);
  rows.forEach(({ seed, publicKey, signature, message }, i) => {
    assert.equal(message.length, i);
    const wrong = Uint8Array.from(signature);
    wrong[i % 64] ^= 1 << (i % 8);
    for (const core of cores) {
      assert.deepEqual(core.get('sv_sign_public', seed, { out: 32 }), publicKey);
      assert.deepEqual(core.get('sv_sign', seed, message, i, { out: 64 }), signature);
      core.get('sv_verify', publicKey, message, i, signature);
      refuses(core, 'sv_verify', publicKey, message, i, wrong);
    }
  });
});

test("verifies nothing under the key that is not canonical of libsodium's test", () => {
  const key = bytesIn(sodium('sign.c').match(/non_canonical_p\[32\] = \{([^}]*)\}/)[1]);
  assert.equal(key.length, 32);
  for (const { signature, message } of signatures()) {
    refuses(cores[0], 'sv_verify', key, message, message.length, signature);
  }
});

test("seals and opens what is valid of Wycheproof's XChaCha20-Poly1305, and nothing else", (t) => {
  const counts = { valid: 0, invalid: 0, 'nonce of another size': 0 };
  for (const { key, iv, aad, msg, ct, tag, result, ivSize } of casesOf(
    wycheproof('xchacha20_poly1305'),
  )) {
    // A nonce of 24 bytes is the only one that the core takes.
    if (ivSize !== 192) {
      assert.equal(result, 'invalid');
      counts['nonce of another size']++;
      continue;
    }
    counts[result]++;
    const [secret, nonce, more, plain] = [key, iv, aad, msg].map(unhex);
    const sealed = join(nonce, unhex(ct), unhex(tag));
    for (const core of cores) {
      if (result === 'valid') {
        assert.deepEqual(core.seal(secret, nonce, more, plain), sealed);
        assert.deepEqual(core.open(secret, more, sealed), [0, plain]);
      } else {
        refuses(
          core, 'sv_open', secret, more, more.length, sealed, sealed.length, { out: plain.length },
        );
      }
    }
  }
  assert.deepEqual(counts, { valid: 220, invalid: 60, 'nonce of another size': 4 });
  t.diagnostic(JSON.stringify(counts));
});

/** Opens ChaCha20-Poly1305 by OpenSSL; undefined when it does not authenticate. */
function openIetf(key, nonce, aad, sealed, tag) {
  const cipher = crypto.createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(aad, { plaintextLength: sealed.length });
  cipher.setAuthTag(tag);
  const plain = cipher.update(sealed);
  try {
    return join(plain, cipher.final());
  } catch {
    return undefined;
  }
}

// The core has ChaCha20-Poly1305 only inside XChaCha20-Poly1305, where its key is a hash: no call
// takes the keys of these vectors. They are put to what known-answers.test.js compares it with.
test("OpenSSL, which every length is compared with, passes Wycheproof's ChaCha20-Poly1305", () => {
  const cases = casesOf(wycheproof('chacha20_poly1305')).filter(({ ivSize }) => ivSize === 96);
  for (const { key, iv, aad, msg, ct, tag, result } of cases) {
    const opened = openIetf(...[key, iv, aad, ct, tag].map(unhex));
    assert.equal(opened && hex(opened), result === 'valid' ? msg : undefined);
  }
  assert.equal(cases.length, 293);
});

test("signs and verifies what is valid of Wycheproof's Ed25519, and nothing else", (t) => {
  const counts = { valid: 0, invalid: 0, 'signature of another size': 0 };
  for (const { key, msg, sig, result } of casesOf(wycheproof('eddsa'))) {
    const [seed, publicKey, message, signature] = [key.sk, key.pk, msg, sig].map(unhex);
    // The core takes 64 bytes, no more and no fewer.
    if (signature.length !== 64) {
      assert.equal(result, 'invalid');
      counts['signature of another size']++;
      continue;
    }
    counts[result]++;
    for (const core of cores) {
      if (result === 'valid') {
        core.get('sv_verify', publicKey, message, message.length, signature);
        const signed = core.get('sv_sign', seed, message, message.length, { out: 64 });
        assert.deepEqual(signed, signature);
      } else {
        refuses(core, 'sv_verify', publicKey, message, message.length, signature);
      }
    }
  }
  assert.deepEqual(counts, { valid: 84, invalid: 49, 'signature of another size': 12 });
  t.diagnostic(JSON.stringify(counts));
});

/** The points of order 1, 2, 4 and 8, and other encodings of some of them. */
const SMALL_ORDER = [
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  // Not canonical: y + p, or minus zero.
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
];

function openSslVerifies(publicKey, message, signature) {
  const der = join(unhex('302a300506032b6570032100'), publicKey);
  const key = crypto.createPublicKey({ key: der, format: 'der', type: 'spki' });
  return crypto.verify(null, message, key, signature);
}

// With such a key anyone can sign: s = 0 and R = the neutral point verify wherever the hash is a
// multiple of the key's order. OpenSSL, which does not look, tells for which messages it is.
test('verifies nothing under a key of small order, where OpenSSL does', () => {
  const signature = new Uint8Array(64);
  signature[0] = 1;
  let forged = 0;
  for (const publicKey of SMALL_ORDER.map(unhex)) {
    for (let i = 0; i < 64; i++) {
      const message = Uint8Array.of(i);
      forged += openSslVerifies(publicKey, message, signature) ? 1 : 0;
      for (const core of cores) refuses(core, 'sv_verify', publicKey, message, 1, signature);
    }
  }
  assert.ok(forged > SMALL_ORDER.length * 4, `OpenSSL takes ${forged}`);
});

test('verifies no signature of which one bit, or the message or the key, is another', () => {
  const { publicKey, signature, message } = signatures()[200];
  const flips = (bytes, check) => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const other = Uint8Array.from(bytes);
      other[bit >> 3] ^= 1 << (bit & 7);
      check(other);
    }
  };
  const core = cores[0];
  const size = message.length;
  flips(signature, (other) => refuses(core, 'sv_verify', publicKey, message, size, other));
  flips(publicKey, (other) => refuses(core, 'sv_verify', other, message, size, signature));
  flips(message, (other) => refuses(core, 'sv_verify', publicKey, other, size, signature));
});
