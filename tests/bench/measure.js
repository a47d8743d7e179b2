// Measuring one thing at a time.
import { execFileSync, fork } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export async function seconds(work) {
  const start = performance.now();
  const result = await work();
  return [(performance.now() - start) / 1000, result];
}

export function median(values) {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[sorted.length >> 1];
}

/** Most resident memory of this process so far, in bytes. */
export const peakMemory = () => process.resourceUsage().maxRSS * 1024;

export async function folderSize(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map((f) => stat(join(f.parentPath ?? f.path, f.name))));
  return { files: files.length, bytes: sizes.reduce((sum, { size }) => sum + size, 0) };
}

/**
 * Asks all queries, one after another, three times or more, until there is half a second of it
 * (or five of them have gone by). The figure is that of the median pass.
 */
export async function askAll(count, ask, { passes = 3, least = 0.5, most = 5 } = {}) {
  const perSecond = [];
  let [answers, spent] = [[], 0];
  while ((perSecond.length < passes || spent < least) && spent < most) {
    const found = [];
    const [took] = await seconds(async () => {
      for (let q = 0; q < count; q++) found.push(await ask(q));
    });
    if (perSecond.length === 0) answers = found;
    perSecond.push(count / took);
    spent += took;
  }
  return { answers, perSecond: median(perSecond) };
}

/** Runs one job of a file in a process of its own. */
export function inProcess(job, given, file = 'jobs.js') {
  return new Promise((resolve, reject) => {
    const path = fileURLToPath(new URL(file, import.meta.url));
    const child = fork(path, { serialization: 'advanced' });
    let answer;
    child.once('message', (message) => { answer = message; });
    child.once('exit', (code) =>
      answer ? resolve(answer) : reject(new Error(`${job} ended with code ${code}`)));
    child.send({ job, ...given });
  });
}

function commit() {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] };
  const git = (...args) => execFileSync('git', args, options).trim();
  try {
    const changes = git('status', '--porcelain', '-uno') ? ', with changes' : '';
    return `commit ${git('rev-parse', '--short', 'HEAD')}${changes}`;
  } catch {
    return 'no git';
  }
}

/** What the figures that follow were taken on, and of. */
export function printMachine(more = '') {
  const { node, v8 } = process.versions;
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  const system = `${os.type()} ${os.release()}`;
  console.log(`${os.cpus()[0].model}, ${os.cpus().length} cores, ${memory}, ${system}`);
  console.log(`Node ${node} (V8 ${v8}), ${commit()}${more}`);
}
