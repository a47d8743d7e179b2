// A process that works on an index: forked by the tests, which tell it what to do in its arguments.
// Every call is told of on standard output, one line of JSON each, before it is made and once it
// has resolved; a line that was written is read even when the process is killed.
import fs from 'node:fs';
import { Client } from '../../../build/js/index.js';
import { itemOf } from './model.js';
import { random } from './oracle.js';

const task = JSON.parse(process.argv[2]);
const { name, directory, seed, dimension, ops, versionFrom = 1 } = task;
const count = task.count ?? Infinity;
const next = random(seed);
const below = (n) => Math.floor(next() * n);
const tell = (line) => fs.writeSync(1, `${JSON.stringify(line)}\n`);
const client = new Client({
  storage: directory, minTrainVectors: 1000, cacheBytes: task.cacheBytes,
  logger: { warn: (message) => tell({ warning: message }) },
});
const indexKey = Uint8Array.from(task.key);
const index = await client.loadIndex({ indexName: 'test', indexKey });
let version = versionFrom;
let calls = 0;

/** Distinct ids: some of them this process's own, some everybody's. */
function pickIds(most) {
  const count = 1 + below(most);
  const ids = new Set();
  while (ids.size < count) {
    const own = task.sharedOnly ? false : next() < 0.5;
    ids.add(own ? `${name}-${below(task.ownIds)}` : `id${below(task.sharedIds)}`);
  }
  return [...ids];
}

async function call(line, work) {
  const number = calls++;
  tell({ call: number, ...line });
  const result = await work();
  tell({ done: number, generation: result.generation, count: result.count });
}

const OPS = {
  upsert() {
    const put = pickIds(task.mostIds).map((id) => [id, version]);
    const items = put.map(([id]) => itemOf(id, version, dimension));
    version++;
    return call({ op: 'upsert', put }, () => index.upsert({ items }));
  },
  /** A group that is always written as a whole, so that a reader can tell. */
  group() {
    const ids = Array.from({ length: 20 }, (_, i) => `${name}-group-${i}`);
    const put = ids.map((id) => [id, version]);
    const items = ids.map((id) => itemOf(id, version, dimension));
    version++;
    return call({ op: 'upsert', put }, () => index.upsert({ items }));
  },
  delete() {
    const drop = pickIds(task.mostIds);
    return call({ op: 'delete', drop }, () => index.delete({ ids: drop }));
  },
  train() {
    const nLists = 4 << below(4);
    return call({ op: 'train' }, () => index.train({ nLists, maxIters: 5, workers: 2 }));
  },
  compact: () => call({ op: 'compact' }, () => index.compact()),
  rekey: () => call({ op: 'rekey' }, () => index.rekey()),
};

const names = Object.entries(ops).flatMap(([op, weight]) => new Array(weight).fill(op));
tell({ ready: true });
for (let n = 0; n < count; n++) {
  const running = [OPS[task.at?.[n] ?? names[below(names.length)]]()];
  // Sometimes the next one is called before this one is done.
  if (next() < 0.2) running.push(OPS.upsert());
  for (const result of await Promise.allSettled(running)) {
    if (result.status === 'rejected') tell({ failed: String(result.reason?.stack) });
  }
}
await client.close();
tell({ finished: true });
