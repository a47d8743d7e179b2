// What a user does, from an empty folder to a reopened index, in strict TypeScript without DOM or
// Node types. package.test.js compiles it as an ES module and as CommonJS, and runs both.
import {
  Client, fileStorage, generateKey, memoryStorage, SealvecError,
  type EncryptedIndex, type ErrorCode, type Item, type Progress, type QueryItem, type QueryResult,
  type Storage, type TrainResult,
} from 'sealvec';

const COUNT = 20_000;
const DIM = 64;

export interface Summary {
  exact: string[];
  trained: string[];
  reopened: string[];
  filtered: string[];
  contents: string | undefined;
  training: { nLists: number; workers: number; phases: string[] };
  errors: (ErrorCode | 'none')[];
}

/** Vectors around 50 centres, the same every time. */
function makeVectors(): Float32Array {
  let state = 1;
  const random = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  const centres = Array.from({ length: 50 * DIM }, random);
  return Float32Array.from({ length: COUNT * DIM }, (_, i) =>
    (centres[(Math.floor(i / DIM) % 50) * DIM + (i % DIM)] ?? 0) + random() * 0.3);
}

async function codeOf(call: () => Promise<unknown>): Promise<ErrorCode | 'none'> {
  try {
    await call();
    return 'none';
  } catch (error) {
    if (error instanceof SealvecError) return error.code;
    throw error;
  }
}

const idsOf = (results: readonly QueryItem[]): string[] => results.map((item) => item.id);

async function fill(index: EncryptedIndex, vectors: Float32Array): Promise<void> {
  const ids = Array.from({ length: COUNT }, (_, row) => `row-${row}`);
  await index.upsert({ ids, vectors });
  const items: Item[] = [3, 4].map((row) => ({
    id: `row-${row}`, vector: vectors.subarray(row * DIM, (row + 1) * DIM),
    contents: `text of ${row}`, metadata: { row, even: row % 2 === 0 },
  }));
  await index.upsert({ items });
}

async function train(index: EncryptedIndex): Promise<Summary['training']> {
  const phases = new Set<string>();
  const onProgress = ({ phase }: Progress): void => void phases.add(phase);
  const options = { nLists: 64, workers: 2, seed: 7, onProgress };
  const { nLists, workers }: TrainResult = await index.train(options);
  return { nLists, workers, phases: [...phases] };
}

async function refusals(client: Client, index: EncryptedIndex): Promise<Summary['errors']> {
  const indexName = 'notes';
  return [
    await codeOf(() => client.loadIndex({ indexName, indexKey: generateKey() })),
    await codeOf(() => client.createIndex({ indexName, indexKey: generateKey() })),
    await codeOf(() => client.loadIndex({ indexName: 'other', indexKey: generateKey() })),
    await codeOf(() => index.query({ queryVectors: [1, 2, 3] })),
    await codeOf(() => index.train({ nLists: 15_000 })),
    // @ts-expect-error there is no option of this name, in types and at run time
    await codeOf(() => index.query({ queryVectors: [1], nProbe: 3 })),
  ];
}

/** Runs all of it in a folder. */
export async function journey(directory: string): Promise<Summary> {
  const vectors = makeVectors();
  const query = vectors.slice(3 * DIM, 4 * DIM);
  const indexKey: Uint8Array = generateKey();
  const client = new Client({ storage: directory });
  const index = await client.createIndex({ indexName: 'notes', indexKey, metric: 'cosine' });
  await fill(index, vectors);
  const ask = { queryVectors: query, topK: 5 };
  const exact: QueryResult = await index.query(ask);
  const training = await train(index);
  const trained = await index.query({ ...ask, nProbes: training.nLists });
  await client.close();

  const storage: Storage = fileStorage(directory);
  const again = new Client({ storage });
  const opened = await again.loadIndex({ indexName: 'notes', indexKey });
  // Many queries, many lists of answers: the types follow.
  const many = await opened.query({ queryVectors: [query, query], topK: 5, targetRecall: 1 });
  const reopened: QueryItem[] = many.results[1] ?? [];
  const filters = { row: { $gte: 3 }, even: true };
  const filtered = await opened.query({ ...ask, filters, include: ['metadata', 'contents'] });
  const [first] = filtered.results;
  const contents = typeof first?.contents === 'string' ? first.contents : undefined;
  const errors = await refusals(again, opened);
  await again.close();
  await new Client({ storage: memoryStorage() }).close();
  return {
    exact: idsOf(exact.results), trained: idsOf(trained.results), reopened: idsOf(reopened),
    filtered: idsOf(filtered.results), contents, training, errors,
  };
}

/** Disposal is in the types, whether or not the target has the syntax. */
export const dispose = async (index: EncryptedIndex): Promise<void> => index[Symbol.asyncDispose]();
