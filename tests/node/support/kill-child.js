// Works on an index until it is killed; tells of every write when it begins and when it was
// acknowledged. Arguments: directory, seed, number of the first write.
import { Client } from '../../../build/js/index.js';
import { random } from './oracle.js';
import { KILL_KEY, makeItem, ROWS } from './kill-items.js';

const [directory, seed, first] = process.argv.slice(2);
const next = random(Number(seed));
const below = (n) => Math.floor(next() * n);
const tell = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const client = new Client({ storage: directory, minTrainVectors: 1000, logger: { warn() {} } });
const index = await client.loadIndex({ indexName: 'a', indexKey: KILL_KEY });
tell({ ready: true });

/** A run of ids somewhere below ROWS. */
function someIds() {
  const from = below(ROWS);
  return Array.from({ length: 1 + below(400) }, (_, i) => (from + i) % ROWS);
}

for (let version = Number(first); ; version++) {
  const dice = below(20);
  const numbers = someIds();
  if (dice < 11) {
    tell({ begin: 'upsert', numbers, version });
    await index.upsert({ items: numbers.map((number) => makeItem(number, version)) });
  } else if (dice < 15) {
    tell({ begin: 'delete', numbers, version });
    await index.delete({ ids: numbers.map((number) => `id-${number}`) });
  } else if (dice < 18) {
    tell({ begin: 'train', version });
    await index.train({ nLists: 16 + below(16), seed: version, maxIters: 3 });
  } else {
    tell({ begin: 'compact', version });
    await index.compact();
  }
  tell({ acknowledged: version });
}
