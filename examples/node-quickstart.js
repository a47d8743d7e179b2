// From nothing to an answer: an encrypted index in a folder, three notes, one question.
// In a project of your own, import from 'sealvec'.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, generateKey } from '../dist/sealvec.js';

const folder = await mkdtemp(join(tmpdir(), 'sealvec-quickstart-'));
const client = new Client({ storage: folder });

// 32 random bytes. Whoever has them can read the index; without them nobody can.
const indexKey = generateKey();
const index = await client.createIndex({ indexName: 'notes', indexKey, metric: 'cosine' });

// Vectors come from your embedding model; these have four components, yours have hundreds.
await index.upsert({
  items: [
    { id: 'tea', vector: [0.9, 0.1, 0, 0.2], contents: 'Green tea: 80 °C, two minutes.' },
    { id: 'rent', vector: [0, 0.9, 0.4, 0], contents: 'The rent is due on the third.' },
    { id: 'coffee', vector: [0.8, 0.2, 0.1, 0.4], contents: 'Grind 18 g for two cups.' },
  ],
});

const { results } = await index.query({
  queryVectors: [1, 0, 0, 0.2],
  topK: 2,
  include: ['distance', 'contents'],
});
for (const { id, distance, contents } of results) {
  console.log(`${id.padEnd(8)}${distance.toFixed(3)}  ${contents}`);
}

await client.close();
await rm(folder, { recursive: true });
