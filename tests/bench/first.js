// From nothing to the first answer, as a program meets it that has just been started: in a process
// that has done nothing else, not even loaded the library. Started by bench.js.
import { once } from 'node:events';

/** What the import takes, then all from the key to the answer: compiling, opening, searching. */
async function first({ folder, key, query, topK }) {
  const begun = performance.now();
  const { Client, fileStorage } = await import('../../dist/sealvec.js');
  const imported = performance.now();
  const files = fileStorage(folder);
  let [bytes, reads] = [0, 0];
  const count = (found) => {
    reads++;
    bytes += found?.length ?? 0;
  };
  const read = async (name, range) => {
    const found = await files.read(name, range);
    count(found);
    return found;
  };
  const readParts = async (name, parts) => {
    const found = await files.readParts(name, parts);
    found?.forEach(count);
    return found;
  };
  const others = Object.fromEntries(['create', 'delete', 'list', 'close'].map((call) =>
    [call, (...given) => files[call](...given)]));
  const client = new Client({ storage: { ...others, read, readParts } });
  const index = await client.loadIndex({ indexName: 'bench', indexKey: Buffer.from(key, 'hex') });
  await index.query({ queryVectors: query, topK });
  const seconds = (performance.now() - imported) / 1000;
  return { imported: (imported - begun) / 1000, seconds, bytes, reads };
}

const [given] = await once(process, 'message');
process.send(await first(given), () => process.exit());
