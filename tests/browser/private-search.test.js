// The private-search page as a person goes through it, on the server of `make example`.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { NeedleFinder } from '../../examples/find-needles.js';
import { MODEL, serve } from '../../examples/private-search/serve.js';
import { startBrowser } from './browser.js';

const PASSPHRASE = 'correct horse battery staple';
const TITLE = 'On the Generalization Properties of Differential Privacy';
/** Stands for Transformers.js: vectors that count letters. */
const LIBRARY = `
  export const env = {};
  const vectorOf = (text) => {
    const vector = new Float32Array(384);
    for (const letter of text.toLowerCase()) vector[letter.codePointAt(0) % 384]++;
    return vector;
  };
  export async function pipeline(task, name, { progress_callback: tell }) {
    tell({ file: task + ' ' + name, loaded: 1, total: 2 });
    return async (texts) => ({ data: texts.flatMap((text) => [...vectorOf(text)]) });
  }`;

let browser;
let server;
let page;
const complaints = [];

beforeAll(async () => {
  browser = await startBrowser();
  server = await serve();
  page = await newPage(server.origin);
});

afterAll(async () => {
  await server.close();
  await browser.close();
  assert.deepEqual(complaints, []);
});

async function newPage(origin) {
  const opened = await browser.context.newPage();
  opened.on('pageerror', ({ message }) => complaints.push(message));
  opened.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  await opened.goto(origin);
  await gate(opened);
  return opened;
}

const gate = (on) => on.waitForSelector('#gate:not([hidden])');
const unlocked = (on) => on.waitForSelector('#lock:not([hidden])');

/** Waits until an element says what is expected, and returns all that it says. */
async function says(on, id, pattern) {
  const holds = ([name, source]) =>
    new RegExp(source).test(document.getElementById(name).textContent);
  await on.waitForFunction(holds, [id, pattern.source]);
  return on.textContent(`#${id}`);
}

async function enter(on, passphrase, again) {
  await on.fill('#passphrase', passphrase);
  if (again !== undefined) await on.fill('#again', again);
  await on.click('#gate-submit');
}

async function firstResult(text) {
  await page.fill('#query', '');
  await says(page, 'search-note', /^Type a few words/);
  await page.fill('#query', text);
  await says(page, 'search-note', /^Found in/);
  return page.textContent('#results li h3');
}

/** Drops files and folders of the disk on an element, as a person does with a mouse. */
async function drop(selector, files) {
  const session = await page.context().newCDPSession(page);
  const { x, y, width, height } = await page.locator(selector).boundingBox();
  const data = { items: [], files, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    const at = { x: x + width / 2, y: y + height / 2 };
    await session.send('Input.dispatchDragEvent', { type, ...at, data });
  }
  await session.detach();
}

/** Every key and value of every database of the page, one after another. */
const storedValues = () => page.evaluate(async () => {
  const finished = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const bytesOf = (value) => {
    if (value instanceof ArrayBuffer) return [new Uint8Array(value)];
    if (ArrayBuffer.isView(value)) return [value];
    if (typeof value === 'object') return Object.values(value).flatMap(bytesOf);
    return [new TextEncoder().encode(String(value))];
  };
  const base64 = (bytes) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.readAsDataURL(new Blob([bytes]));
  });
  const all = [];
  for (const { name } of await indexedDB.databases()) {
    const db = await finished(indexedDB.open(name));
    for (const store of db.objectStoreNames) {
      const objects = db.transaction(store).objectStore(store);
      const found = await Promise.all([objects.getAllKeys(), objects.getAll()].map(finished));
      for (const bytes of bytesOf(found)) all.push(await base64(bytes));
    }
    db.close();
  }
  return all;
});

describe('the private-search page', () => {
  test('refuses a passphrase that is short, or typed in two ways', async () => {
    await enter(page, 'short', 'short');
    await says(page, 'gate-error', /at least 10 letters/);
    await enter(page, PASSPHRASE, 'correct horse');
    await says(page, 'gate-error', /the two passphrases differ/);
  });

  test('makes an index under a passphrase, which is empty', async () => {
    await enter(page, PASSPHRASE, PASSPHRASE);
    await unlocked(page);
    await says(page, 'count', /^Nothing yet/);
    assert.equal(await page.isDisabled('#train'), true);
  });

  test('adds notes and files, and replaces a file that has changed', async () => {
    const file = (text) => ({ name: 'tea.txt', mimeType: 'text/plain', buffer: Buffer.from(text) });
    await page.fill('#notes', 'The rent is due on the third.\n\n<b>Grind</b> 18 g for two cups.');
    await page.click('#add-notes');
    await says(page, 'status', /^Added 2 texts as 2 passages\.$/);
    await page.setInputFiles('#files', [
      file('Green tea: 80 °C.\n\nBlack tea: boiling.'),
      { name: 'photo.png', mimeType: 'image/png', buffer: Buffer.alloc(9) },
    ]);
    await says(page, 'status', /^Added 1 text as 2 passages\. 1 file left out/);
    await page.setInputFiles('#files', [file('Oolong: 90 °C.')]);
    await says(page, 'count', /^3 passages/);
    assert.equal(await firstResult('oolong'), 'tea.txt');
    assert.equal(await firstResult('grind'), '<b>Grind</b> 18 g for two cups.');
    assert.equal(await page.textContent('#results li mark'), 'Grind');
  });

  test('takes a folder that is dropped on it, with all that is in it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'sealvec-drop-'));
    try {
      // Browsers read out a folder in portions of 100 entries.
      const names = Array.from({ length: 120 }, (_, i) => `letter-${i}.txt`);
      await mkdir(join(folder, 'letters', 'old'), { recursive: true });
      const write = (name, text) => writeFile(join(folder, 'letters', name), text);
      await Promise.all(names.map((name, i) => write(name, `Dear Sir number ${i}, the rent.`)));
      await write('old/quince.md', 'Quince jelly: boil the cores with the peel.');
      await write('scan.png', Buffer.alloc(9));
      await drop('#drop', [join(folder, 'letters')]);
      await says(page, 'status', /^Added 121 texts as 121 passages\. 1 file left out/);
      assert.equal(await firstResult('quince'), 'letters/old/quince.md');
      assert.equal(await firstResult('letter number 119'), 'letters/letter-119.txt');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('adds the arXiv set, and finds a title by its own words', async () => {
    await page.click('#add-arxiv');
    await says(page, 'status', /^Added 1,000 texts as [\d,]+ passages\.$/);
    assert.equal(await firstResult('generalization properties differential privacy'), TITLE);
    assert.match(await page.textContent('#search-note'), /all [\d,]+ passages compared/);
  });

  test('cancels training, and says that nothing has changed', async () => {
    const phase = await page.evaluate(() => new Promise((resolve) => {
      const panel = document.getElementById('train-progress');
      new MutationObserver((_, observer) => {
        const current = panel.querySelector('[aria-current]');
        if (current?.textContent !== 'Find centroids') return;
        observer.disconnect();
        panel.querySelector('button').click();
        resolve(current.textContent);
      }).observe(panel, { subtree: true, childList: true, attributes: true });
      document.getElementById('train').click();
    }));
    assert.equal(phase, 'Find centroids');
    await says(page, 'status', /^Training was cancelled/);
    await says(page, 'train-text', /^Untrained/);
    assert.equal(await page.isEnabled('#train'), true);
  });

  test('trains, then plots recall against speed and maps the lists', async () => {
    await page.click('#train');
    const status = await says(page, 'status', /^Trained in/);
    const lists = Number(/(\d+) lists/.exec(status)[1]);
    await page.waitForSelector('#map svg');
    const rows = await page.$$eval('#plot tbody tr', (all) =>
      all.map((row) => [...row.children].map((cell) => cell.textContent)));
    const ways = ['0.5', '0.7', '0.8', '0.9', '0.95', '0.99', 'exact'];
    assert.deepEqual(rows.map(([name]) => name), ways);
    assert.ok(Number(rows[5][1]) > 0.9, rows[5][1]);
    assert.equal(rows[6][1], '1.000');
    const drawn = await page.$$eval('#map .ring', (rings) => rings.length);
    assert.ok(drawn > lists * 0.8 && drawn <= lists * 1.2, `${drawn} of ${lists}`);
    assert.equal(await firstResult('generalization properties differential privacy'), TITLE);
  });

  test('stores nothing that can be read', async () => {
    const response = await page.request.get(`${server.origin}/examples/data/arxiv-1k.json.gz`);
    const items = JSON.parse(gunzipSync(await response.body()));
    const texts = items.flatMap(({ title, abstract }) => [title, abstract.slice(0, 24)]);
    const needles = [...texts, 'The rent is due', PASSPHRASE].filter(({ length }) => length >= 8);
    const finder = new NeedleFinder(needles.map((text) => Buffer.from(text)));
    for (const value of await storedValues()) finder.scan(Buffer.from(value, 'base64'));
    assert.ok(finder.bytes > 5e6, `${finder.bytes} bytes`);
    assert.deepEqual([...finder.found], []);
    finder.scan(Buffer.from(`control: ${TITLE}.`));
    assert.equal(finder.found.size, 1);
    assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  });

  test('shows the stored bytes, and that a word is not in them', async () => {
    await page.click('#read-stored');
    await says(page, 'stored-text', /7\.9\d\d of 8 bits|8\.000 of 8 bits/);
    assert.ok(await page.locator('#records figure').count() >= 6);
    await page.fill('#needle', 'Differential Privacy');
    await page.press('#needle', 'Enter');
    await says(page, 'scan-result', /is nowhere in [\d.]+ MB in \d+ values/);
    await page.fill('#needle', 'texts');
    await page.press('#needle', 'Enter');
    await says(page, 'scan-result', /is in the name index\/texts/);
  });

  test('refuses a wrong passphrase in words, and opens under the right after reload', async () => {
    await page.reload();
    await gate(page);
    await enter(page, `${PASSPHRASE}s`);
    await says(page, 'gate-error', /^This passphrase does not open the index\./);
    await enter(page, PASSPHRASE);
    await unlocked(page);
    await says(page, 'train-text', /^\d+ lists/);
    assert.equal(await firstResult('generalization properties differential privacy'), TITLE);
  });

  test('locks', async () => {
    await page.click('#lock');
    await page.waitForSelector('#app', { state: 'hidden' });
    await gate(page);
    assert.equal(await page.textContent('#gate-title'), 'Type the passphrase');
  });

  test('wipes everything once that is confirmed, and not before', async () => {
    await page.click('#wipe');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#wipe-dialog', { state: 'hidden' });
    await enter(page, PASSPHRASE);
    await unlocked(page);
    await page.click('#wipe');
    await page.click('#wipe-dialog [value=wipe]');
    await says(page, 'status', /^Everything was wiped\.$/);
    await gate(page);
    assert.equal(await page.textContent('#gate-title'), 'Choose a passphrase');
    assert.equal((await storedValues()).length, 0);
  });
});

describe('the model', () => {
  test('cannot be chosen, or reached, unless the server was told to allow it', async () => {
    assert.equal(await page.isDisabled('[value=gte-small]'), true);
    const before = complaints.length;
    const reached = await page.evaluate((url) =>
      import(url).then(() => true, () => false), MODEL.url);
    assert.equal(reached, false);
    assert.ok(complaints.splice(before).every((text) => /Content Security Policy/.test(text)));
  });

  test('embeds queries for the vectors of the arXiv set', async () => {
    const headers = { 'Access-Control-Allow-Origin': '*' };
    await browser.context.route(MODEL.url, (route) =>
      route.fulfill({ contentType: 'text/javascript', body: LIBRARY, headers }));
    const allowing = await serve({ model: true });
    const tab = await newPage(allowing.origin);
    await tab.check('[value=gte-small]');
    await enter(tab, PASSPHRASE, PASSPHRASE);
    await unlocked(tab);
    await tab.click('#add-arxiv');
    await says(tab, 'status', /^Added 1,000 texts as 1,000 passages\.$/);
    await tab.fill('#query', 'privacy');
    await says(tab, 'search-note', /^Found in/);
    await allowing.close();

    const port = Number(new URL(allowing.origin).port);
    const forbidding = await serve({ port });
    await tab.reload();
    await gate(tab);
    await enter(tab, PASSPHRASE);
    await says(tab, 'gate-error', /made with the model gte-small.*make example model=1/);
    await tab.close();
    await forbidding.close();
  });
});
