// Serves the built library and an empty page, under the strictest policy that it promises to run
// under, and without the headers of cross-origin isolation.
import fs from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const KEYS = fileURLToPath(new URL('../../examples/keys/', import.meta.url));
const PAGE = fileURLToPath(new URL('./page.js', import.meta.url));
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";
const TYPES = { js: 'text/javascript', wasm: 'application/wasm' };
const HTML = '<!doctype html><title>SealVec</title><script type="module" src="/page.js"></script>';

const FORGOTTEN = /\.wasm$|^training-worker|^embedded/;

/**
 * The file of a path; `/copy/` shows the library as a bundler leaves it that forgets its files,
 * `/keys/` has the examples of where keys come from.
 */
function fileOf(path) {
  if (path === '/page.js') return PAGE;
  const [, folder, name] = /^\/(dist|copy|keys)\/([\w-]+\.(?:js|wasm))$/.exec(path) ?? [];
  if (folder === 'keys') return KEYS + name;
  return name && (folder === 'dist' || !FORGOTTEN.test(name)) ? DIST + name : undefined;
}

/** Starts a server on a free port of its own, which makes an origin of its own. */
export async function serve() {
  const server = http.createServer(({ url }, response) => {
    response.setHeader('Content-Security-Policy', POLICY);
    const { pathname } = new URL(url, 'http://localhost');
    const file = fileOf(pathname);
    // Like many hosts of single-page applications: whatever does not exist is the page.
    response.setHeader('Content-Type', file ? TYPES[file.split('.').pop()] : 'text/html');
    if (pathname.startsWith('/missing/')) response.statusCode = 404;
    response.end(file ? fs.readFileSync(file) : HTML);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
}
