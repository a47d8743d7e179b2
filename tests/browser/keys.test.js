// Where the key of an index may come from in a page: the examples, as they are.
import assert from 'node:assert/strict';
import { startBrowser } from './browser.js';

let browser;
let page;

beforeAll(async () => {
  browser = await startBrowser();
});

beforeEach(async () => {
  page = await browser.open();
});

afterEach(() => page.close());

afterAll(() => browser.close());

describe('a key under a CryptoKey that is not extractable', () => {
  /** What is stored under a name, and whether scripts get at the key that encrypts it. */
  const look = (name) => page.evaluate(async (entry) => {
    const { openKey } = await import('/keys/webcrypto.js');
    const key = await openKey(entry, () => { throw new Error('a second key'); });
    const database = await idb('index-keys', 1);
    const record = await finished(database.transaction('keys').objectStore('keys').get(entry));
    database.close();
    const copied = (format) => crypto.subtle.exportKey(format, record.wrapping)
      .then(() => 'copied', ({ name }) => name);
    const bytes = (buffer) => String([...new Uint8Array(buffer)]);
    return {
      extractable: record.wrapping.extractable, refused: [await copied('raw'), await copied('jwk')],
      fields: Object.keys(record), stored: bytes(record.sealed), key: bytes(key),
    };
  }, name);

  test('opens the index after the browser was killed, and scripts cannot copy it', async () => {
    await page.evaluate(async () => {
      const { openKey } = await import('/keys/webcrypto.js');
      const indexKey = await openKey('notes', sealvec.generateKey);
      const { client, index } = await openIndex('kept', { indexKey, create: { dimension: 2 } });
      await index.upsert({ ids: ['a'], vectors: [[1, 2]] });
      await client.close();
    });
    await browser.crash();
    page = await browser.open();
    const ids = await page.evaluate(async () => {
      const { openKey } = await import('/keys/webcrypto.js');
      const indexKey = await openKey('notes', sealvec.generateKey);
      const { client, index } = await openIndex('kept', { indexKey });
      const found = await index.listIds();
      await client.close();
      return found.ids;
    });
    assert.deepEqual(ids, ['a']);
    const seen = await look('notes');
    assert.deepEqual(seen.fields.sort(), ['iv', 'sealed', 'wrapping']);
    assert.equal(seen.extractable, false);
    assert.deepEqual(seen.refused, ['InvalidAccessError', 'InvalidAccessError']);
    assert.equal(seen.key.split(',').length, 32);
    assert.ok(!seen.stored.includes(seen.key));
  });

  test('is one for two tabs that make it at once, and another one under another name', async () => {
    const other = await browser.open();
    const open = (tab, name) => tab.evaluate(async (entry) => {
      const { openKey } = await import('/keys/webcrypto.js');
      return String([...await openKey(entry, sealvec.generateKey)]);
    }, name);
    const keys = await Promise.all([open(page, 'both'), open(other, 'both'), open(page, 'mine')]);
    await other.close();
    assert.equal(keys[0], keys[1]);
    assert.notEqual(keys[0], keys[2]);
  });

  test('that cannot be read is an error, and never a new key', async () => {
    const refused = await page.evaluate(async () => {
      const { openKey } = await import('/keys/webcrypto.js');
      const change = async (name, make) => {
        await openKey(name, sealvec.generateKey);
        const database = await idb('index-keys', 1);
        const keys = database.transaction('keys', 'readwrite').objectStore('keys');
        await finished(keys.put(make(await finished(keys.get(name))), name));
        database.close();
        return openKey(name, sealvec.generateKey).then(() => 'a key', String);
      };
      const sealed = await crypto.subtle.generateKey(
        { name: 'AES-GCM', length: 256 }, true, ['encrypt', 'decrypt'],
      );
      return [
        await change('a', () => null),
        await change('b', (record) => ({ ...record, wrapping: null })),
        await change('c', (record) => ({ ...record, wrapping: sealed })),
        await change('d', (record) => ({ ...record, iv: new Uint8Array(12) })),
        await change('e', (record) => ({ ...record, sealed: record.sealed.slice(1) })),
      ];
    });
    for (const text of refused.slice(0, 3)) assert.match(text, /key '[abc]' is damaged/);
    for (const text of refused.slice(3)) assert.match(text, /OperationError/);
  });

  test('is an error where the browser does not keep it', async () => {
    const refused = await page.evaluate(async () => {
      const { openKey } = await import('/keys/webcrypto.js');
      const restore = replace(IDBObjectStore.prototype, 'get', (original) => function get() {
        return original.call(this, 'nothing has this name');
      });
      const answer = await openKey('lost', sealvec.generateKey).then(() => 'a key', String);
      restore();
      return answer;
    });
    assert.match(refused, /does not keep keys/);
  });
});

describe('a passkey', () => {
  let session;
  let local;

  /** Puts an authenticator beside the page, which answers by itself; gives its id. */
  async function plugIn(options = {}) {
    const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', ctap2Version: 'ctap2_1', transport: 'internal', hasResidentKey: true,
        hasUserVerification: true, isUserVerified: true, hasPrf: true,
        automaticPresenceSimulation: true, ...options,
      },
    });
    return authenticatorId;
  }

  const unplug = (authenticatorId) =>
    session.send('WebAuthn.removeVirtualAuthenticator', { authenticatorId });

  beforeEach(async () => {
    // A passkey belongs to a name: there are none for 127.0.0.1.
    local = await browser.context.newPage();
    await local.goto(`${browser.origin.replace('127.0.0.1', 'localhost')}/`);
    await local.waitForFunction(() => globalThis.ready);
    session = await browser.context.newCDPSession(local);
    await session.send('WebAuthn.enable');
  });

  afterEach(() => local.close());

  test('is a user of the index, the same each time; another one is not', async () => {
    await plugIn();
    const made = await local.evaluate(async () => {
      const { createPasskey, openPasskey } = await import('/keys/passkey.js');
      const id = await createPasskey('Ann');
      const { client, index } = await openIndex('passkeys', { create: { dimension: 2 } });
      await index.upsert({ ids: ['a'], vectors: [[1, 2]] });
      await index.createUserKeys({ ...await openPasskey(id), permissions: ['read'] });
      await client.close();
      return [...id];
    });
    await local.reload();
    await local.waitForFunction(() => globalThis.ready);
    const seen = await local.evaluate(async (bytes) => {
      const { createPasskey, openPasskey } = await import('/keys/passkey.js');
      const load = async (id) => {
        const { userId, userKey } = await openPasskey(id);
        const client = new sealvec.Client({ storage: 'passkeys' });
        const opened = client.loadIndex({ indexName: 'notes', userId, indexKey: userKey });
        const answer = await opened.then((index) => index.count(), ({ code }) => code);
        await client.close();
        return { answer, userId: String(userId), userKey: String(userKey) };
      };
      const id = Uint8Array.from(bytes);
      return [await load(id), await load(id), await load(await createPasskey('Ann again'))];
    }, made);
    const [first, again, other] = seen;
    assert.deepEqual(first, again);
    assert.deepEqual([first.answer, other.answer], [1, 'WRONG_KEY']);
    assert.deepEqual([first.userId, first.userKey].map((text) => text.split(',').length), [16, 32]);
    for (const field of ['userId', 'userKey']) assert.notEqual(first[field], other[field]);
    assert.ok(!first.userKey.startsWith(first.userId));
  });

  test('of an authenticator without PRF, or one that is gone, is an error', async () => {
    const plain = await plugIn({ hasPrf: false });
    const create = () => local.evaluate(async () => {
      const { createPasskey } = await import('/keys/passkey.js');
      return createPasskey('Bob').then((id) => [...id], String);
    });
    assert.match(await create(), /makes no secrets \(PRF\)/);
    await unplug(plain);
    const able = await plugIn();
    const id = await create();
    assert.ok(Array.isArray(id));
    await unplug(able);
    await plugIn();
    const refused = await local.evaluate(async (bytes) => {
      const { openPasskey } = await import('/keys/passkey.js');
      return openPasskey(Uint8Array.from(bytes)).then(() => 'a key', String);
    }, id);
    assert.match(refused, /NotAllowedError/);
  });

  test('of an authenticator that cannot verify its owner is an error', async () => {
    await plugIn({ hasUserVerification: false, isUserVerified: false });
    const refused = await local.evaluate(async () => {
      const { createPasskey, openPasskey } = await import('/keys/passkey.js');
      return createPasskey('Cyd').then(openPasskey).then(() => 'a key', String);
    });
    assert.match(refused, /NotAllowedError/);
  });
});
