// Two tabs that write one index, and tabs that die while they write it.
import assert from 'node:assert/strict';
import { FULL, startBrowser } from './browser.js';

const DIMENSION = 8;
const WRITES = FULL ? 2_000 : 200;
const KILLS = FULL ? 100 : 10;
const SEED = Number(process.env.SEED ?? Date.now() % 1e9);

let browser;

beforeAll(async () => {
  browser = await startBrowser();
});

afterAll(() => browser.close());

test(`two tabs write one index ${WRITES} times each, and nothing is lost`, async () => {
  const tabs = [await browser.open(), await browser.open()];
  await tabs[0].evaluate(async (dimension) => {
    const { client } = await openIndex('shared', { create: { dimension } });
    await client.close();
  }, DIMENSION);
  const started = performance.now();
  const write = async ([first, count, dimension]) => {
    const { index } = await openIndex('shared');
    const generations = [];
    for (const number of numbers(first, first + count)) {
      generations.push((await index.upsert({ items: [item(number, dimension)] })).generation);
    }
    return generations;
  };
  const written = await Promise.all(
    tabs.map((tab, t) => tab.evaluate(write, [t * 10_000, WRITES, DIMENSION])));
  const seconds = (performance.now() - started) / 1000;
  const generations = written.flat();
  assert.equal(new Set(generations).size, 2 * WRITES, 'each write has a commit of its own');
  const mine = Array.from({ length: WRITES }, (_, i) => i);
  const wanted = [...mine, ...mine.map((number) => 10_000 + number)];
  for (const tab of [...tabs, await browser.open()]) {
    const seen = await tab.evaluate(async () => {
      const { index, client } = await openIndex('shared');
      const read = await readNumbers(index);
      await client.close();
      return read;
    });
    assert.ok(seen.sound);
    assert.deepEqual(seen.numbers, wanted);
  }
  await Promise.all(tabs.map((tab) => tab.close()));
  const interleaved = written[0].filter((generation) => generation > written[1][0]).length;
  console.log(`two tabs, ${WRITES} writes each: ${seconds.toFixed(1)} s, ` +
    `${interleaved} of the first tab's after the second began`);
}, 60_000 * (FULL ? 60 : 2));

/** Writes batches and trains, again and again, and tells what was acknowledged. */
async function writeUntilKilled([from, lists, dimension]) {
  const { index } = await openIndex('killed');
  const train = async () => {
    for (let nLists = lists + 1; ; nLists++) {
      await index.train({ nLists, workers: 1 });
      await acknowledge('train', nLists);
    }
  };
  const write = async () => {
    for (let first = from; ; first += 5) {
      const items = numbers(first, first + 5).map((number) => item(number, dimension));
      await index.upsert({ items });
      await acknowledge('write', first);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
  };
  await Promise.all([train(), write()]);
}

test(`a tab or browser killed at ${KILLS} moments has lost nothing it acknowledged`, async () => {
  console.log(`SEED=${SEED}`);
  let state = SEED;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const acknowledged = new Set();
  let [trainings, trained, next] = [0, 0, 0];
  const acknowledge = (what, number) => {
    if (what === 'write') for (let i = 0; i < 5; i++) acknowledged.add(number + i);
    else [trainings, trained] = [trainings + 1, number];
  };
  await browser.context.exposeFunction('acknowledge', acknowledge);
  const first = await browser.open();
  await first.evaluate(async (dimension) => {
    const { index, client } = await openIndex('killed', { create: { dimension } });
    const all = numbers(1_000_000, 1_003_000);
    await index.upsert({ items: all.map((number) => item(number, dimension)) });
    await client.close();
  }, DIMENSION);
  await first.close();
  // Long enough that trainings end, too, on a machine that is slow today.
  let patience = 1_200;
  for (let kill = 0; kill < KILLS; kill++) {
    const before = trainings;
    const tab = await browser.open();
    const session = await browser.context.newCDPSession(tab);
    const crashed = new Promise((resolve) => { tab.once('crash', resolve); });
    const running = tab.evaluate(writeUntilKilled, [next, trained, DIMENSION]);
    let failure;
    running.catch((error) => { failure ??= error; });
    await new Promise((resolve) => { setTimeout(resolve, 50 + random() * patience); });
    assert.equal(failure, undefined);
    if (kill % 5 === 4) {
      await browser.crash();
      await browser.context.exposeFunction('acknowledge', acknowledge);
    } else {
      session.send('Page.crash').catch(() => undefined);
      await crashed;
      await tab.close();
    }
    const reader = await browser.open();
    const seen = await reader.evaluate(async () => {
      const { index, client } = await openIndex('killed');
      const read = await readNumbers(index);
      const { recovered, nLists } = await index.stats();
      const { results } = await index.query({ queryVectors: [...vectorOf(1_000_000, 8)], topK: 1 });
      await client.close();
      return { ...read, recovered, nLists, nearest: results[0].id };
    });
    await reader.close();
    const there = new Set(seen.numbers);
    assert.ok(seen.sound && !seen.recovered && seen.nearest === 'n1000000');
    for (const number of acknowledged) assert.ok(there.has(number), `item ${number}, kill ${kill}`);
    patience = trainings > before ? 1_200 : patience + 400;
    // Its acknowledgement may be lost with the tab.
    assert.ok([trained, trained + 1].includes(seen.nLists), `${seen.nLists} lists, not ${trained}`);
    trained = seen.nLists;
    const batches = seen.numbers.filter((number) => number < 1_000_000);
    assert.equal(batches.length % 5, 0, 'no batch is there in part');
    next = batches.length;
    assert.deepEqual(batches, batches.map((_, i) => i), 'batches are there in the order written');
  }
  console.log(`${KILLS} kills: kept ${acknowledged.size} items and ${trainings} trainings`);
  assert.ok(acknowledged.size > 0 && trainings > 0);
}, 60_000 * (FULL ? 30 : 3));
