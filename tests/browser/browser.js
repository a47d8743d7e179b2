// Chromium over the built package, with a profile on disk: without one, IndexedDB is in memory.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { serve } from './server.js';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run',
];

/** The long versions, of hours: `make test-browser full=1`. */
export const FULL = process.env.SEALVEC_FULL === '1';

/** A browser with a server of its own; `close` removes every trace. */
export async function startBrowser() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'sealvec-chromium-'));
  const server = await serve();
  const launch = () => chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
  });
  let context = await launch();
  return {
    origin: server.origin,
    get context() {
      return context;
    },
    /** A new tab that has loaded the library. */
    async open(query = '') {
      const page = await context.newPage();
      page.on('pageerror', (error) => { throw error; });
      await page.goto(`${server.origin}/${query}`);
      await page.waitForFunction(() => globalThis.ready);
      return page;
    },
    /** Kills every process of the browser, as losing power would, and starts it again. */
    async crash() {
      const session = await context.browser()?.newBrowserCDPSession();
      const { processInfo } = await session.send('SystemInfo.getProcessInfo');
      const closed = new Promise((resolve) => { context.once('close', resolve); });
      for (const { id } of processInfo) process.kill(id, 'SIGKILL');
      await closed;
      context = await launch();
    },
    async close() {
      await context.close();
      await server.close();
      fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
