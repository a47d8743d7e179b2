// The page stays alive while its vectors are clustered.
import assert from 'node:assert/strict';
import { FULL, startBrowser } from './browser.js';

const ROWS = FULL ? 100_000 : 20_000;
const DIMENSION = 128;
/** One frame, in milliseconds. */
const FRAME = 16;
/** On a machine that is busy with other things, frames are late for other reasons. */
const ATTEMPTS = 5;

let browser;
let page;

beforeAll(async () => {
  browser = await startBrowser();
  page = await browser.open();
  await page.evaluate(async ([rows, dimension]) => {
    Object.assign(globalThis, await openIndex('frames', { create: { dimension } }));
    const vectors = clustered(rows, dimension);
    for (let from = 0; from < rows; from += 10_000) {
      const ids = numbers(from, from + 10_000).map(String);
      await index.upsert({ ids, vectors: vectors.subarray(from * dimension, (from + 10_000) * dimension) });
    }
  }, [ROWS, DIMENSION]);
}, 600_000);

afterAll(() => browser.close());

/** Times between frames while `code` runs in the page. */
const gapsDuring = (code) => page.evaluate(async (text) => {
  const stop = watchFrames();
  const result = await eval(`(${text})()`);
  return { gaps: stop(), result };
}, code);

const describeGaps = (gaps) => {
  const at = (share) => gaps[Math.floor((gaps.length - 1) * share)].toFixed(1);
  return `${gaps.length} frames, median ${at(0.5)} ms, 99 % ${at(0.99)}, longest ${at(1)}`;
};

test(`no frame is late by ${FRAME} ms because ${ROWS} vectors are being trained`, async () => {
  const late = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const idle = await gapsDuring('() => new Promise((resolve) => { setTimeout(resolve, 3_000); })');
    const trained = await gapsDuring('() => index.train()');
    const { seconds, nLists, workers } = trained.result;
    console.log([
      `idle:     ${describeGaps(idle.gaps)}`,
      `training: ${describeGaps(trained.gaps)}`,
      `${ROWS} x ${DIMENSION}, ${nLists} lists, ${workers} workers: ${seconds.toFixed(2)} s`,
    ].join('\n'));
    late.push(trained.gaps.at(-1) - idle.gaps.at(-1));
    if (late.at(-1) <= FRAME) return;
  }
  assert.fail(`longer than the longest gap of the idle page by ${late.map(Math.round).join(', ')} ms`);
}, 1_800_000);
