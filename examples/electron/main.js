// The main process: the key, notes in files, and the page's own files under app:.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { app, BrowserWindow, ipcMain, protocol, safeStorage } from 'electron';
import { Client, generateKey } from 'sealvec';
import { KeyFile } from './key-file.js';
import { Notes } from './notes.js';

const here = fileURLToPath(new URL('.', import.meta.url));
const library = path.dirname(fileURLToPath(import.meta.resolve('sealvec')));
const PAGE = ['index.html', 'renderer.js', 'notes.js', 'embed.js'];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

// A scheme of its own, because pages under file: may neither fetch nor start module workers.
protocol.registerSchemesAsPrivileged([
  { scheme: 'app', privileges: { standard: true, secure: true, supportFetchAPI: true } },
]);

/** The file of a path of the page: one of PAGE, or one of the library. */
function fileOf(pathname) {
  const name = pathname.slice(1) || 'index.html';
  if (PAGE.includes(name)) return path.join(here, name);
  const [, part] = /^sealvec\/([\w-]+\.(?:js|wasm))$/.exec(name) ?? [];
  return part && path.join(library, part);
}

async function answer({ url }) {
  const file = fileOf(new URL(url).pathname);
  if (!file) return new Response('not found', { status: 404 });
  const headers = {
    'Content-Type': TYPES[path.extname(file)], 'Content-Security-Policy': POLICY,
  };
  return new Response(await readFile(file), { headers });
}

async function start() {
  await app.whenReady();
  const folder = app.getPath('userData');
  const indexKey = await new KeyFile(path.join(folder, 'index.key'), safeStorage).open(generateKey);
  const client = new Client({ storage: path.join(folder, 'vectors') });
  const notes = await Notes.open(client, indexKey);

  /** Answers the page, and nothing that another page might have been loaded into its frame. */
  const handle = (channel, work) => ipcMain.handle(channel, ({ senderFrame }, text) => {
    if (!senderFrame?.url.startsWith('app://page/')) throw new Error('not the page of this app');
    return work(text);
  });
  handle('notes:add', (text) => notes.add(String(text)));
  handle('notes:search', (text) => notes.search(String(text)));
  handle('key', () => indexKey);

  protocol.handle('app', answer);
  const window = new BrowserWindow({
    webPreferences: {
      preload: path.join(here, 'preload.cjs'),
      contextIsolation: true, sandbox: true, nodeIntegration: false,
    },
  });
  window.webContents.setWindowOpenHandler(() => ({ action: 'deny' }));
  window.webContents.on('will-navigate', (event) => event.preventDefault());
  app.on('window-all-closed', async () => {
    await client.close();
    indexKey.fill(0);
    app.quit();
  });
  await window.loadURL('app://page/');
}

start().catch((error) => {
  console.error(error);
  app.exit(1);
});
