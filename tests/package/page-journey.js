// What a page does, from an empty database to a reopened index. Packagers find the library by its
// name; the tests put `sealvec/inline` or a URL in its place where that is what they are about.
import { Client, generateKey } from 'sealvec';

const COUNT = 2_000;
const DIM = 16;

function makeVectors() {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length: COUNT * DIM }, random);
}

/** How often a worker is made, and of which kind of URL. */
function watchWorkers() {
  const urls = [];
  if (globalThis.Worker) {
    globalThis.Worker = class extends globalThis.Worker {
      constructor(url, options) {
        super(url, options);
        urls.push(new URL(url, location.href).protocol);
      }
    };
  }
  return urls;
}

export async function journey(options) {
  const workers = watchWorkers();
  const vectors = makeVectors();
  const indexKey = generateKey();
  const settings = { storage: 'page', minTrainVectors: 10, ...options };
  const client = new Client(settings);
  const index = await client.createIndex({ indexName: 'notes', indexKey, dimension: DIM });
  const ids = Array.from({ length: COUNT }, (_, i) => `row-${i}`);
  await index.upsert({ ids, vectors, metadata: ids.map((_, row) => ({ row })) });
  const ask = { queryVectors: vectors.slice(3 * DIM, 4 * DIM), topK: 5 };
  const idsOf = ({ results }) => results.map(({ id }) => id);
  const exact = idsOf(await index.query(ask));
  const { nLists } = await index.train({ nLists: 8, workers: 1, seed: 7 });
  const trained = idsOf(await index.query({ ...ask, nProbes: 8 }));
  const filtered = idsOf(await index.query({ ...ask, filters: { row: 4 } }));
  await client.close();

  const again = new Client(settings);
  const open = (key) => again.loadIndex({ indexName: 'notes', indexKey: key });
  const wrongKey = await open(generateKey()).then(() => 'opened', ({ code }) => code);
  const reopened = idsOf(await (await open(indexKey)).query({ ...ask, targetRecall: 1 }));
  await again.close();
  return { exact, nLists, trained, filtered, wrongKey, reopened, workers };
}
