// Where the key of an index may come from in Node: the examples, as they are. Those for pages run
// in tests/browser/keys.test.js.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { describe, test } from 'node:test';
import { openKey } from '../../examples/keys/keychain.js';
import { importSecret, subkey } from '../../examples/keys/subkeys.js';
import { Client, generateKey, memoryStorage } from '../../build/js/index.js';
import { assertCode } from './support/oracle.js';

describe('one secret for many keys', () => {
  test('gives what HKDF gives, and wipes the bytes that it was given', async () => {
    const bytes = crypto.randomBytes(32);
    const copy = Uint8Array.from(bytes);
    const secret = await importSecret(bytes);
    assert.ok(bytes.every((byte) => byte === 0));
    for (const [purpose, length] of [['notes', 32], ['note', 32], ['', 32], ['Schlüssel', 16]]) {
      const right = crypto.hkdfSync('sha256', copy, new Uint8Array(), purpose, length);
      assert.deepEqual(await subkey(secret, purpose, length), new Uint8Array(right));
    }
    // RFC 5869, A.3: neither salt nor info.
    const known = await importSecret(new Uint8Array(22).fill(11));
    assert.equal(Buffer.from(await subkey(known, '', 42)).toString('hex'),
      '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8');
  });

  test('is not to be had of its CryptoKey, and opens an index and its users', async () => {
    const secret = await importSecret(generateKey());
    assert.equal(secret.extractable, false);
    await assert.rejects(crypto.subtle.exportKey('raw', secret));
    const client = new Client({ storage: memoryStorage() });
    const indexKey = await subkey(secret, 'index notes');
    const index = await client.createIndex({ indexName: 'notes', indexKey, dimension: 2 });
    const userId = await subkey(secret, 'user ann, id', 16);
    const userKey = await subkey(secret, 'user ann, key');
    await index.createUserKeys({ userId, userKey, permissions: ['read'] });
    const load = (key) => client.loadIndex({ indexName: 'notes', ...key });
    assert.equal(await (await load({ userId, indexKey: userKey })).count(), 0);
    assert.equal(await (await load({ indexKey: await subkey(secret, 'index notes') })).count(), 0);
    await assertCode(load({ indexKey: await subkey(secret, 'index note') }), 'WRONG_KEY');
    await client.close();
  });
});

/** A stub of an entry of @napi-rs/keyring: shows what the example does, nothing of keychains. */
class EntryStub {
  stored = null;

  getPassword() {
    return this.stored;
  }

  setPassword(text) {
    this.stored = text;
  }
}

describe('a key in a keychain, over a stub of one', () => {
  test('is made once and is the same from then on', () => {
    const entry = new EntryStub();
    const key = openKey(entry, generateKey);
    assert.equal(key.length, 32);
    assert.deepEqual(openKey(entry, () => assert.fail('a second key')), key);
  });

  test('is an error where it was not kept, or something else was', () => {
    const forgetful = new EntryStub();
    forgetful.setPassword = () => undefined;
    assert.throws(() => openKey(forgetful, generateKey), /did not keep/);
    const contested = new EntryStub();
    contested.setPassword = () => { contested.stored = Buffer.alloc(32, 1).toString('base64'); };
    assert.throws(() => openKey(contested, generateKey), /did not keep/);
    for (const text of ['a password', Buffer.alloc(31).toString('base64')]) {
      const other = new EntryStub();
      other.stored = text;
      const made = () => assert.fail('a new key in its place');
      assert.throws(() => openKey(other, made), /something else/);
      assert.equal(other.stored, text);
    }
  });
});
