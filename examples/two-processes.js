// Two processes write to one index at the same time. Nothing is locked: a commit is made by
// creating the next manifest, which only one of them can; the other takes up what is new and tries
// again. Both find everything afterwards.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, generateKey } from '../dist/sealvec.js';

const WRITES = 50;

/** Upserts one item after another, and deletes every fifth again. */
async function write({ folder, name, indexKey }) {
  const client = new Client({ storage: folder });
  const index = await client.loadIndex({ indexName: 'shared', indexKey });
  for (let i = 0; i < WRITES; i++) {
    const id = `${name}-${i}`;
    await index.upsert({ ids: [id], vectors: [[i, name === 'left' ? -1 : 1]] });
    if (i % 5 === 0) await index.delete({ ids: [id] });
  }
  await client.close();
}

if (process.send) {
  // A writer. The key comes over the channel between the processes, not on the command line.
  const [job] = await once(process, 'message');
  await write(job);
  process.disconnect();
} else {
  const folder = await mkdtemp(join(tmpdir(), 'sealvec-two-processes-'));
  const indexKey = generateKey();
  const client = new Client({ storage: folder });
  const index = await client.createIndex({ indexName: 'shared', indexKey, dimension: 2 });
  const codes = await Promise.all(['left', 'right'].map(async (name) => {
    const writer = fork(new URL(import.meta.url), { serialization: 'advanced' });
    writer.send({ folder, name, indexKey });
    const [code] = await once(writer, 'exit');
    return code;
  }));
  const { generation, segments } = await index.stats();
  console.log(`writers ended with ${codes.join(' and ')}`);
  console.log(`${generation} commits, ${segments} segments`);
  console.log(`${await index.count()} items, expected ${2 * WRITES * 0.8}`);
  await client.close();
  await rm(folder, { recursive: true });
}
