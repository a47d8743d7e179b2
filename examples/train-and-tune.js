// Training: progress, stopping it, and choosing between speed and recall afterwards.
import { Client, generateKey, memoryStorage } from '../dist/sealvec.js';
import { readNpy } from './read-npy.js';

const data = (name) => new URL(`data/${name}`, import.meta.url);
const base = await readNpy(data('image-descriptors-20k.npy.gz'));
const queries = await readNpy(data('image-descriptors-queries.npy.gz'));

const client = new Client({ storage: memoryStorage() });
const index = await client.createIndex({ indexName: 'images', indexKey: generateKey() });
const ids = Array.from({ length: base.shape[0] }, (_, row) => String(row));
await index.upsert({ ids, vectors: base.data });

// Before training every answer is exact.
const truth = await index.query({ queryVectors: queries.data, topK: 10 });
console.log(`untrained: exact is ${truth.exact}`);

// A signal stops training, which leaves the index as it was.
const stop = new AbortController();
const onProgress = ({ phase }) => phase === 'cluster' && stop.abort();
await index.train({ signal: stop.signal, onProgress }).catch(async (error) => {
  console.log(`stopped: ${error.name}, isTrained is ${await index.isTrained()}`);
});

// The index can be used meanwhile: this write is in it afterwards.
const training = index.train({ nLists: 128, seed: 1 });
await index.upsert({ ids: ['late'], vectors: base.data.slice(0, base.shape[1]) });
const { nLists, seconds, quantizationError } = await training;
const meanError = quantizationError.toFixed(0);
console.log(`trained: ${nLists} lists in ${seconds.toFixed(2)} s, mean squared error ${meanError}`);

/** Share of the exact answers among these. */
function recall(results) {
  const found = results.flatMap((items, q) => {
    const right = new Set(truth.results[q].map(({ id }) => id));
    return items.filter(({ id }) => right.has(id));
  });
  return found.length / truth.results.flat().length;
}

// targetRecall says how much of the exact answer to find, nProbes how many lists to visit.
const recalls = [{ targetRecall: 0.8 }, {}, { targetRecall: 0.99 }];
for (const how of [...recalls, { nProbes: 4 }, { nProbes: nLists }]) {
  const answer = await index.query({ queryVectors: queries.data, topK: 10, ...how });
  const compared = Math.round(answer.rowsScanned / answer.results.length);
  console.log(
    JSON.stringify(how).padEnd(22) + `recall ${recall(answer.results).toFixed(3)}, ` +
      `${compared} of ${ids.length + 1} vectors compared, exact is ${answer.exact}`,
  );
}
await client.close();
