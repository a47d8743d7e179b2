// `make bench`: what SealVec does with real vectors, in figures. Seeded.
//
//   DATA=name,…   sets of ../shared/data by name (default: the three large ones), or
//                 image-descriptors-20k, which comes with the source and stands in for them
//   QUICK=1       fewer queries and repeats
//   PEERS=1       installs hnswlib-node, usearch, edgevec and sqlite-vec in build/peers and
//                 measures them too, and draws all in plots/; PEERS=hnswlib-node,… only those
//   ONLY=kernels  nothing but the kernels
//   ONLY=build    nothing but the builds of SealVec (upsert, train) and of PEERS, in five rounds,
//                 each in a process of its own
//
// Where Debian's python3-faiss is installed (with libopenblas0-pthread, or it is slow), native FAISS
// trains and adds the same vectors in as many lists on as many threads.
import { cp, mkdir, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { generateKey } from '../../dist/sealvec.js';
import { chooseSets, loadSet, rowOf } from './datasets.js';
import { hasFaiss, recallAbove, runFaiss } from './faiss.js';
import { benchKernels } from './kernels.js';
import { inProcess, median, printMachine } from './measure.js';
import { fastest, installPeers, RECALL, SETTINGS } from './peers.js';
import { saveSearchPlot } from './search-plot.js';

const { DATA, QUICK, PEERS, ONLY } = process.env;
const SEED = 1;
const FOLDER = fileURLToPath(new URL('../../build/bench/', import.meta.url));
const LADDER = QUICK ? [1, 4, 16, 64] : [1, 2, 4, 8, 16, 32, 64, 128, 256];
const COUNT = QUICK ? 200 : undefined;
const ROUNDS = 5;
const K = 10;
/** Queries that are each the first of a process. */
const FIRSTS = 9;

const whole = (number) => Math.round(number).toLocaleString('en-US');
const inSeconds = (number) => `${number.toFixed(2)} s`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const percent = (share) => `${(share * 100).toFixed(1)} %`;
const line = (name, text) => console.log(`  ${name.padEnd(12)}${text}`);

const WIDTHS = [22, 10, 12, 12, 14];
const row = (...cells) => console.log(`  ${cells.map((cell, i) =>
  (i === 0 ? cell.padEnd(WIDTHS[i]) : cell.padStart(WIDTHS[i]))).join('')}`);

function printSearches(untrained, { nLists, fixed, auto }) {
  const figures = ({ recall, perSecond, scanned }) =>
    [recall.toFixed(4), whole(perSecond), whole(scanned)];
  console.log();
  row('search (topK 10)', 'recall@10', 'queries/s', 'rows', 'of the best');
  row('untrained', ...figures(untrained));
  for (const one of fixed) {
    row(`nProbes ${one.nProbes}${one.nProbes === nLists ? ' (all)' : ''}`, ...figures(one));
  }
  for (const one of auto) {
    const share = `${(one.scanned / one.best.scanned).toFixed(2)} (${one.best.nProbes})`;
    row(`targetRecall ${one.targetRecall}`, ...figures(one), share);
  }
  line('', 'of the best: rows over those of the fewest nProbes (which) that reach the target');
}

function printTraining(name, { seconds, phases, workers, peak, runs }) {
  const parts = Object.entries(phases).map(([phase, took]) => `${phase} ${took.toFixed(2)}`);
  line(name, `${inSeconds(seconds)}, ${workers} ${workers === 1 ? 'worker' : 'workers'}: ` +
    `${parts.join(', ')} (median of ${runs}); process peak ${megabytes(peak)}`);
}

/** Trains copies of an index that is filled, the last of which stays; the median of the runs. */
async function trainOften(filled, folder, options) {
  const runs = [];
  for (let i = 0; i < (QUICK ? 1 : 3); i++) {
    await rm(folder, { recursive: true, force: true });
    await cp(filled, folder, { recursive: true });
    runs.push(await inProcess('train', { ...options, folder }));
  }
  const middle = median(runs.map(({ seconds }) => seconds));
  return { ...runs.find(({ seconds }) => seconds === middle), runs: runs.length };
}

/**
 * Fills, trains, searches and opens one index, each in a process of its own. The first of the
 * folders has it untrained afterwards, the second trained.
 */
async function measureSealvec({ name: set, rows, dim, queries }, key, folders) {
  const [filled, folder, spare] = folders;
  const all = { set, key, seed: SEED, count: COUNT, ladder: LADDER };
  const upserts = [];
  for (const each of QUICK ? [filled] : folders) {
    upserts.push(await inProcess('upsert', { ...all, folder: each }));
  }
  const untrained = await inProcess('untrained', { ...all, folder: filled, count: QUICK ? 50 : 200 });
  const one = await trainOften(filled, folder, { ...all, workers: 1 });
  const trained = await trainOften(filled, folder, all);
  const searches = await inProcess('query', { ...all, folder });
  const opens = [];
  for (let i = 0; i < (QUICK ? 1 : FIRSTS); i++) {
    const first = { folder, key, query: rowOf(queries, i).slice(), topK: K };
    opens.push(await inProcess('first', first, 'first.js'));
  }
  const limited = await inProcess('limited', { ...all, count: QUICK ? 50 : undefined, folder });
  const heldOut = QUICK || rows < 10_000 ? undefined : await inProcess('heldOut', all);
  await rm(spare, { recursive: true, force: true });
  await cp(folder, spare, { recursive: true });
  const arrived = await inProcess('arrive', { ...all, folder: spare });
  const more = QUICK || rows < 10_000 ? undefined : await inProcess('filtered', all);
  const upsert = median(upserts.map(({ seconds }) => seconds));
  printBuild({ rows, dim, upserts, upsert, one, trained, arrived });
  printUse({ rows, dim, untrained, trained, searches, opens, heldOut });
  line('limited', `to ${megabytes(limited.cacheBytes)}, codes, ids and hashes but no vectors: ` +
    `${whole(limited.perSecond)} queries/s, ${limited.ratio.toFixed(3)} times those with all ` +
    'in memory');
  if (more) printMore(more);
  if (!QUICK) await printCipher(all);
  const build = { build: upsert + trained.seconds, buildAlone: upsert + one.seconds };
  const best = fastest([...searches.fixed, ...searches.auto]);
  return { ...build, one, trained, searches, untrained, best };
}

function printBuild({ rows, dim, upserts, upsert, one, trained, arrived }) {
  const { nLists, iterations, stopReason, quantizationError, imbalance, bytes, files } = trained;
  line('upsert', `${whole(rows / upsert)} vectors/s, durable in batches of 10,000 (median of ` +
    `${upserts.length}); process peak ${megabytes(upserts[0].peak)}`);
  line('', `${whole(rows / arrived.seconds)} vectors/s into the lists of a trained index`);
  printTraining('train', trained);
  printTraining('', one);
  line('lists', `${nLists}, after ${iterations} iterations (${stopReason}); quantisation error ` +
    `${quantizationError.toPrecision(6)}, largest list ${imbalance.toFixed(1)} times the mean`);
  line('on disk', `${(bytes / rows).toFixed(1)} bytes per vector (${dim * 4} of floats), ` +
    `${megabytes(bytes)} in ${files} files`);
}

function printUse({ rows, dim, untrained, trained, searches, opens, heldOut }) {
  const { memoryBytes, peak } = searches;
  const times = (memoryBytes / (rows * dim * 4)).toFixed(2);
  const middle = (figure) => median(opens.map((one) => one[figure]));
  const [seconds, imported] = [middle('seconds') * 1000, middle('imported') * 1000];
  line('open', `${seconds.toFixed(1)} ms from new Client to the first answer, each in a process of ` +
    `its own (median of ${opens.length} queries), after ${imported.toFixed(1)} ms for the import`);
  line('', `${megabytes(middle('bytes'))} read (${percent(middle('bytes') / trained.bytes)}), in ` +
    `${middle('reads')} reads`);
  line('memory', `${megabytes(memoryBytes)} with all of it decrypted, ${times} times the floats; ` +
    `process peak ${megabytes(peak)}`);
  printSearches(untrained, searches);
  if (!heldOut) return;
  const recalls = heldOut.map((recall) => recall.toFixed(4)).join(', ');
  line('held out', `rows kept out of the index, targetRecall 0.9, 0.95, 0.99: recall ${recalls}`);
}

function printMore({ filters, batches }) {
  for (const { share, recall, perSecond, ratio } of filters) {
    line('filtered', `to ${percent(share)}: recall ${recall.toFixed(4)}, ${whole(perSecond)} ` +
      `queries/s, ${(1 / ratio).toFixed(2)} times the time of one without, in turn`);
  }
  const { perSecond, ratio } = batches;
  line('batches', `of 100: ${whole(perSecond)} queries/s, ${ratio.toFixed(2)} times those asked one ` +
    'by one, in turn');
}

/** Measures in processes that build the two in one order and in the other, twice each. */
async function printCipher(given) {
  const runs = [];
  for (const reversed of [false, true, true, false]) {
    const { warm, cold, train } = await inProcess('cipher', { ...given, reversed });
    runs.push({ warm: median(warm), cold, train });
  }
  const [warm, cold, train] = ['warm', 'cold', 'train'].map((figure) =>
    runs.reduce((sum, run) => sum + run[figure], 0) / runs.length);
  line('null cipher', `the same without encryption: ${warm.toFixed(3)} times its queries/s warm; ` +
    `the first query of all lists takes ${cold.toFixed(2)} times as long, train ` +
    `${train.toFixed(2)} times`);
}

function printPeer({ name, version }, { built, searches, bytes, peak, ratio }, rows, own) {
  console.log(`\n  ${name} ${version} (${SETTINGS})`);
  line('build', `${inSeconds(built)}, ${whole(rows / built)} vectors/s; over SealVec's upsert ` +
    `and train: ${(built / own.buildAlone).toFixed(1)} with one worker, ` +
    `${(built / own.build).toFixed(1)} with all`);
  const saved = bytes ? `; saved, ${(bytes / rows).toFixed(1)} bytes per vector` : '';
  line('memory', `process peak ${megabytes(peak)}${saved}`);
  row('search (topK 10)', 'recall@10', 'queries/s');
  for (const { ef, recall, perSecond } of searches) {
    row(`ef ${ef}`, recall.toFixed(4), whole(perSecond));
  }
  const theirs = fastest(searches);
  if (!theirs || !own.best) return;
  line(`at ${RECALL}`, `the fastest that reaches it: ${whole(theirs.perSecond)} queries/s, ` +
    `SealVec ${whole(own.best.perSecond)}; in turn, ${ratio.toFixed(2)} times as many`);
}

/** What compares with every row, beside SealVec before training. */
function printExact({ name, version }, { built, perSecond, recall, ratio }, rows, { untrained }) {
  console.log(`\n  ${name} ${version}, exact search`);
  line('insert', `${inSeconds(built)}, ${whole(rows / built)} vectors/s`);
  line('search', `${whole(perSecond)} queries/s (recall ${recall.toFixed(4)}), SealVec untrained ` +
    `${whole(untrained.perSecond)}; before and after it, ${ratio.toFixed(1)} times as many`);
}

/** Native FAISS beside SealVec's training, which also opens, seals and writes all there is. */
function printFaiss(set, { one, trained, searches }) {
  const { nLists, fixed } = searches;
  const given = { nLists, seed: SEED, ladder: LADDER.filter((n) => n <= nLists) };
  for (const own of [one, trained]) {
    const threads = own.workers;
    const theirs = runFaiss(set, { ...given, threads, lloyd: !QUICK && threads === 1 });
    if (!theirs) return;
    const took = theirs.train + theirs.add;
    console.log(`\n  FAISS ${theirs.version} IVFFlat, ${nLists} lists, threads: ${threads}`);
    line('train, add', `${inSeconds(theirs.train)}, ${inSeconds(theirs.add)}; SealVec's train over ` +
      `both: ${(own.seconds / took).toFixed(2)}`);
    const lloyd = theirs.lloyd ? `, over that of 25 iterations on all rows: ` +
      `${(own.quantizationError / theirs.lloyd).toFixed(4)}` : '';
    line('lists', `SealVec's quantisation error over FAISS's: ` +
      `${(own.quantizationError / theirs.error).toFixed(4)}${lloyd}; largest list ` +
      `${theirs.imbalance.toFixed(1)} times the mean`);
    const above = recallAbove(fixed, theirs.searches);
    if (above !== undefined) {
      line('recall', `SealVec's less FAISS's at equal rows, where it is 0.9 to 0.99: at least ` +
        `${above.toFixed(4)}`);
    }
  }
}

async function benchSet(name, peers) {
  const set = await loadSet(name);
  const { rows, dim, metric, count } = set;
  const queries = `${whole(Math.min(count, COUNT ?? count))} queries`;
  console.log(`\n== ${name}: ${whole(rows)} × ${dim}, ${metric}, ${queries} ==`);
  const key = Buffer.from(generateKey()).toString('hex');
  const folders = [0, 1, 2].map((i) => `${FOLDER}${name}-${i}`);
  try {
    const own = await measureSealvec(set, key, folders);
    if (hasFaiss()) printFaiss(set, own);
    await benchPeers(set, peers, own, { key, folders });
  } finally {
    for (const each of folders) await rm(each, { recursive: true, force: true });
  }
}

/** Measures the peers, each beside SealVec's index of the same rows. */
async function benchPeers({ name, rows }, peers, own, { key, folders: [filled, folder] }) {
  const { fixed, auto } = own.searches;
  const libraries = [{ name: 'SealVec, encrypted', searches: [...fixed, ...auto] }];
  for (const peer of peers) {
    try {
      const { nProbes, targetRecall } = own.best ?? {};
      const beside = peer.exact ? { key, folder: filled, how: {} }
        : own.best && { key, folder, how: nProbes ? { nProbes } : { targetRecall } };
      const given = { name: peer.name, set: name, count: COUNT, own: beside };
      const found = await inProcess('peer', given);
      if (peer.exact) {
        printExact(peer, found, rows, own);
        continue;
      }
      printPeer(peer, found, rows, own);
      libraries.push({ name: peer.name, searches: found.searches });
    } catch (error) {
      console.log(`\n  ${peer.name} ${peer.version}: ${error.message}`);
    }
  }
  if (libraries.length > 1 && !QUICK) await saveSearchPlot(name, libraries);
}

/** Builds in turn, so that what else the machine does meets all of them. */
async function benchBuilds(set, peers) {
  console.log(`\n== ${set}: builds, ${ROUNDS} rounds ==`);
  const key = Buffer.from(generateKey()).toString('hex');
  const folder = `${FOLDER}${set}-build`;
  const ratios = peers.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    await rm(folder, { recursive: true, force: true });
    const { upserted, trained } = await inProcess('build', { set, key, folder, seed: SEED });
    const own = upserted + trained;
    const told = [`SealVec ${inSeconds(upserted)} + ${inSeconds(trained)}`];
    for (const [i, { name }] of peers.entries()) {
      const { built } = await inProcess('peer', { name, set, count: 1 });
      ratios[i].push(built / own);
      told.push(`${name} ${inSeconds(built)}, ${(built / own).toFixed(1)} times`);
    }
    line(`${round + 1}`, told.join('; '));
  }
  peers.forEach(({ name }, i) => line('median', `${name}: ${median(ratios[i]).toFixed(1)} times`));
  await rm(folder, { recursive: true, force: true });
}

printMachine(QUICK ? ', QUICK=1' : '');
if (ONLY !== 'kernels') {
  // What a run that was killed left behind.
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  const peers = PEERS ? installPeers(PEERS, console.log) : [];
  const bench = ONLY === 'build' ? benchBuilds : benchSet;
  for (const name of chooseSets(DATA)) await bench(name, peers);
}
if (ONLY === 'build') process.exit();
console.log('\n== kernels, one thread ==');
await benchKernels();
console.log('\n== sizes ==');
await import('./size.js');
// Whether they are within their limits is for `make size` to say.
process.exitCode = 0;
