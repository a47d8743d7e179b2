// Filters: which items may be an answer is decided before the nearest are taken, so a query gives
// topK results whenever that many items match.
import { Client, generateKey, memoryStorage, SealvecError } from '../dist/sealvec.js';

const client = new Client({ storage: memoryStorage() });
const index = await client.createIndex({ indexName: 'films', indexKey: generateKey() });

const films = [
  ['Metropolis', [0.9, 0.1], { year: 1927, tags: ['drama', 'silent'], length: { min: 153 } }],
  ['The General', [0.2, 0.8], { year: 1926, tags: ['comedy', 'silent'], length: { min: 75 } }],
  ['Solaris', [0.8, 0.3], { year: 1972, tags: ['drama'], length: { min: 167 } }],
  ['Playtime', [0.1, 0.9], { year: 1967, tags: ['comedy'], length: { min: 155 } }],
  ['Stalker', [0.7, 0.2], { year: 1979, tags: ['drama'], rating: null }],
];
await index.upsert({ items: films.map(([id, vector, metadata]) => ({ id, vector, metadata })) });

/** The three nearest films that pass. */
async function show(filters) {
  const { results } = await index.query({ queryVectors: [1, 0], topK: 3, filters });
  console.log(`${JSON.stringify(filters).padEnd(66)} ${results.map(({ id }) => id).join(', ')}`);
}

await show({});
await show({ year: { $gte: 1960, $lt: 1975 } }); // several conditions on one field
await show({ tags: 'silent' }); // a value, or an element of an array
await show({ tags: { $in: ['comedy', 'musical'] } });
await show({ 'length.min': { $lte: 100 } }); // inside an object
await show({ rating: null }); // null or not there at all
await show({ rating: { $exists: true } });
await show({ $or: [{ year: { $lt: 1927 } }, { 'length.min': { $gt: 160 } }] });
await show({ $nor: [{ tags: 'comedy' }, { tags: 'silent' }] });

// Filters are data: nothing in them runs code, and a slip is an error, not an empty answer.
for (const filters of [{ $where: 'true' }, { year: { $greater: 1960 } }]) {
  try {
    await show(filters);
  } catch (error) {
    if (!(error instanceof SealvecError)) throw error;
    console.log(`${JSON.stringify(filters).padEnd(66)} ${error.code}`);
  }
}
await client.close();
