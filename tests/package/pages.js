// Folders as web sites, and Chromium to visit them.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium';
const TYPES = { html: 'text/html', js: 'text/javascript', wasm: 'application/wasm' };

/** Why no page can be visited here, or false. */
export const unavailable = !fs.existsSync(EXECUTABLE) &&
  `NOT TESTED: there is no Chromium at ${EXECUTABLE}; name one with CHROMIUM=...`;

/** Serves a folder under a policy; `requests` are the paths asked for that it has. */
export async function serve(folder, policy) {
  const requests = [];
  const server = http.createServer(({ url }, response) => {
    response.setHeader('Content-Security-Policy', policy);
    const { pathname } = new URL(url, 'http://localhost');
    const file = path.join(folder, pathname === '/' ? 'index.html' : pathname);
    const found = fs.existsSync(file) && fs.statSync(file).isFile();
    response.statusCode = found ? 200 : 404;
    response.setHeader('Content-Type', TYPES[path.extname(file).slice(1)] ?? 'text/plain');
    if (found) requests.push(pathname);
    response.end(found ? fs.readFileSync(file) : 'not found');
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    requests,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
}

export const startChromium = () =>
  chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox', '--disable-gpu'] });

/** What the page at a URL comes to: its `outcome`, or what it says in the console instead. */
export async function visit(browser, url) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  try {
    await page.goto(url);
    await page.waitForFunction(() => globalThis.outcome !== undefined, null, { timeout: 30_000 });
    return await page.evaluate(() => globalThis.outcome);
  } catch (cause) {
    throw new Error(`${url}: ${said.join('\n')}`, { cause });
  } finally {
    await context.close();
  }
}
