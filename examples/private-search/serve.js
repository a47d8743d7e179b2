// `make example`: serves the private-search page, the library and the arXiv set, nothing else, to
// this machine. The policy lets the page load and reach nothing but this server; with model=1 also
// the hosts of Transformers.js and of its models.
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../../', import.meta.url);
const PAGE = '/examples/private-search/';
const FILES = new RegExp(
  `^(${PAGE}[a-z-]+\\.(html|css|js|svg)|/examples/data/arxiv-1k\\.(json|npy)\\.gz` +
    '|/dist/[A-Za-z0-9-]+\\.(js|wasm))$',
);
const TYPES = {
  html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml',
  js: 'text/javascript; charset=utf-8', wasm: 'application/wasm', gz: 'application/gzip',
};

/** The model that the page may fetch where it is allowed to. */
export const MODEL = {
  url: 'https://cdn.jsdelivr.net/npm/@huggingface/transformers@3.8.1/dist/transformers.min.js',
  name: 'Xenova/gte-small',
};
const MODEL_SCRIPTS = 'https://cdn.jsdelivr.net';
const MODEL_HOSTS = 'https://cdn.jsdelivr.net https://huggingface.co https://*.huggingface.co ' +
  'https://*.hf.co';

function policy(model) {
  return [
    "default-src 'self'",
    `script-src 'self' 'wasm-unsafe-eval'${model ? ` ${MODEL_SCRIPTS}` : ''}`,
    `connect-src 'self'${model ? ` ${MODEL_HOSTS}` : ''}`,
    "worker-src 'self'", "object-src 'none'", "base-uri 'none'", "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

/** Status, type and body of what a path names. */
async function answer(pathname, model) {
  if (pathname === `${PAGE}settings.json`) {
    return [200, 'application/json', JSON.stringify({ model: model ? MODEL : null })];
  }
  const path = pathname === PAGE ? `${PAGE}index.html` : pathname;
  if (!FILES.test(path)) return [404, 'text/plain', 'not found'];
  const body = await readFile(new URL(`.${path}`, ROOT)).catch(() => undefined);
  if (!body) return [404, 'text/plain', `${path} is missing; \`make js\` builds the library`];
  return [200, TYPES[path.split('.').pop()], body];
}

/** Starts the server; port 0 is any free one. */
export async function serve({ port = 0, model = false } = {}) {
  const server = http.createServer(async ({ url }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    response.setHeader('Content-Security-Policy', policy(model));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('Cache-Control', 'no-cache');
    if (pathname === '/') {
      response.writeHead(302, { Location: PAGE }).end();
      return;
    }
    const [status, type, body] = await answer(pathname, model);
    response.writeHead(status, { 'Content-Type': type }).end(body);
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT || 8080);
  const model = process.env.MODEL === '1';
  const { origin } = await serve({ port, model }).catch((error) => {
    console.error(`port ${port} cannot be had (${error.code}); PORT= names another`);
    process.exit(1);
  });
  console.log(`private search: ${origin}${PAGE}`);
  const reach = model ? 'this server and the hosts of the model' : 'this server only';
  console.log(`The page may reach ${reach}. Ctrl+C ends it.`);
}
