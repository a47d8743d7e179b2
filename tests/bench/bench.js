// `make bench`: what SealVec does with real vectors, in figures. Seeded.
//
//   DATA=name,…   sets of ../shared/data by name (default: the three large ones), or
//                 image-descriptors-20k, which comes with the source and stands in for them
//   QUICK=1       fewer queries and repeats
//   PEERS=1       installs hnswlib-node, usearch and edgevec in build/peers and measures them too
//   ONLY=kernels  nothing but the kernels
import { execFileSync, fork } from 'node:child_process';
import { cp, mkdir, rm } from 'node:fs/promises';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { generateKey } from '../../dist/sealvec.js';
import { chooseSets, loadSet } from './datasets.js';
import { benchKernels } from './kernels.js';
import { median } from './measure.js';
import { installPeers, SETTINGS } from './peers.js';

const { DATA, QUICK, PEERS, ONLY } = process.env;
const SEED = 1;
const FOLDER = fileURLToPath(new URL('../../build/bench/', import.meta.url));
const LADDER = QUICK ? [1, 4, 16, 64] : [1, 2, 4, 8, 16, 32, 64, 128, 256];
const COUNT = QUICK ? 200 : undefined;
const RECALL = 0.95;

const whole = (number) => Math.round(number).toLocaleString('en-US');
const inSeconds = (number) => `${number.toFixed(2)} s`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const percent = (share) => `${(share * 100).toFixed(1)} %`;
const line = (name, text) => console.log(`  ${name.padEnd(12)}${text}`);

/** Runs one job in a process of its own. */
function run(job, given) {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL('jobs.js', import.meta.url)), { serialization: 'advanced' });
    let answer;
    child.once('message', (message) => { answer = message; });
    child.once('exit', (code) =>
      answer ? resolve(answer) : reject(new Error(`${job} ended with code ${code}`)));
    child.send({ job, ...given });
  });
}

function printMachine() {
  const git = (...args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  let commit = 'no git';
  try {
    const changes = git('status', '--porcelain', '-uno').trim() ? ', with changes' : '';
    commit = `commit ${git('rev-parse', '--short', 'HEAD').trim()}${changes}`;
  } catch {
    // From a tarball.
  }
  const [{ model }] = os.cpus();
  const memory = `${Math.round(os.totalmem() / 2 ** 30)} GiB`;
  console.log(`${model}, ${os.cpus().length} cores, ${memory}, ${os.type()} ${os.release()}`);
  console.log(`Node ${process.versions.node} (V8 ${process.versions.v8}), ${commit}${QUICK ? ', QUICK=1' : ''}`);
}

const COLUMNS = [22, 10, 12, 12, 12];
const row = (...cells) => console.log(`  ${cells.map((cell, i) =>
  (i === 0 ? cell.padEnd(COLUMNS[i]) : cell.padStart(COLUMNS[i]))).join('')}`.trimEnd());

function printSearches({ scanned, perSecond, recall }, { nLists, fixed, auto }) {
  console.log();
  row('search (topK 10)', 'recall@10', 'queries/s', 'rows', 'of the best');
  row('untrained', recall.toFixed(4), whole(perSecond), whole(scanned));
  for (const one of fixed) {
    const name = one.nProbes === nLists ? `nProbes ${nLists} (all)` : `nProbes ${one.nProbes}`;
    row(name, one.recall.toFixed(4), whole(one.perSecond), whole(one.scanned));
  }
  for (const one of auto) {
    const share = `${(one.scanned / one.best.scanned).toFixed(2)} (${one.best.nProbes})`;
    row(`targetRecall ${one.targetRecall}`, one.recall.toFixed(4), whole(one.perSecond), whole(one.scanned), share);
  }
  console.log('  of the best: rows, against those of the fewest nProbes (which) that reach the target');
}

function printTraining(name, { seconds, phases, workers, peak }) {
  const parts = Object.entries(phases).map(([phase, took]) => `${phase} ${took.toFixed(2)}`);
  line(name, `${inSeconds(seconds)} with ${workers} ${workers === 1 ? 'worker' : 'workers'}: ` +
    `${parts.join(', ')}; process peak ${megabytes(peak)}`);
}

/** Fills, trains, searches and opens one index, each in a process of its own. */
async function measureSealvec({ name: set, rows, dim, metric }) {
  const key = Buffer.from(generateKey()).toString('hex');
  const folders = [0, 1, 2].map((i) => `${FOLDER}${set}-${i}`);
  const all = { set, key, seed: SEED, count: COUNT, ladder: LADDER };
  try {
    const upserts = [];
    for (const folder of QUICK ? folders.slice(0, 1) : folders) upserts.push(await run('upsert', { ...all, folder }));
    const [folder, alone] = folders;
    await rm(alone, { recursive: true, force: true });
    await cp(folder, alone, { recursive: true });
    const untrained = await run('untrained', { ...all, folder, count: QUICK ? 50 : 200 });
    const one = await run('train', { ...all, folder: alone, workers: 1 });
    const trained = await run('train', { ...all, folder });
    const searches = await run('query', { ...all, folder });
    const opens = [];
    for (let i = 0; i < (QUICK ? 1 : 5); i++) opens.push(await run('first', { ...all, folder }));
    const heldOut = QUICK || rows < 10_000 ? undefined : await run('heldOut', all);
    const upsert = median(upserts.map(({ seconds }) => seconds));
    printSealvec({ rows, dim, metric, upserts, upsert, untrained, one, trained, searches, opens, heldOut });
    return { build: upsert + trained.seconds, buildAlone: upsert + one.seconds, searches };
  } finally {
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  }
}

function printSealvec({ rows, dim, upserts, upsert, untrained, one, trained, searches, opens, heldOut }) {
  const floats = rows * dim * 4;
  const open = opens.find(({ seconds }) => seconds === median(opens.map((other) => other.seconds)));
  line('upsert', `${whole(rows / upsert)} vectors/s, durable in batches of 10,000 (median of ${upserts.length}); ` +
    `process peak ${megabytes(upserts[0].peak)}`);
  printTraining('train', trained);
  printTraining('', one);
  line('clustering', `${trained.nLists} lists, ${trained.iterations} iterations (${trained.stopReason}), quantisation error ` +
    `${trained.quantizationError.toPrecision(6)}, largest list ${trained.imbalance.toFixed(1)} times the mean`);
  line('on disk', `${(trained.bytes / rows).toFixed(1)} bytes per vector (${dim * 4} of floats), ` +
    `${megabytes(trained.bytes)} in ${trained.files} files`);
  line('open', `${(open.seconds * 1000).toFixed(1)} ms from new Client to the first answer (median of ${opens.length}), ` +
    `${megabytes(open.bytes)} read (${percent(open.bytes / trained.bytes)})`);
  line('memory', `${megabytes(searches.memoryBytes)} with all of it decrypted, ${(searches.memoryBytes / floats).toFixed(2)} ` +
    `times the floats; process peak ${megabytes(searches.peak)}`);
  printSearches(untrained, searches);
  if (heldOut) {
    line('held out', `recall of ${heldOut.map((recall) => recall.toFixed(4)).join(', ')} for targetRecall 0.9, 0.95, 0.99 ` +
      'on rows of the data that are not in the index');
  }
}

/** The fastest search that finds enough. */
const fastest = (searches) => Math.max(0, ...searches
  .filter(({ recall }) => recall >= RECALL).map(({ perSecond }) => perSecond));

function printPeer(name, version, { built, searches, bytes, peak }, rows, own) {
  console.log(`\n  ${name} ${version} (${SETTINGS})`);
  line('build', `${inSeconds(built)}, ${whole(rows / built)} vectors/s; SealVec's upsert and train are ` +
    `${(built / own.buildAlone).toFixed(1)} times as fast with one worker, ${(built / own.build).toFixed(1)} with all`);
  line('memory', `process peak ${megabytes(peak)}${bytes ? `; saved, ${(bytes / rows).toFixed(1)} bytes per vector` : ''}`);
  row('search (topK 10)', 'recall@10', 'queries/s');
  for (const { ef, recall, perSecond } of searches) row(`ef ${ef}`, recall.toFixed(4), whole(perSecond));
  const [theirs, ours] = [fastest(searches), fastest([...own.searches.fixed, ...own.searches.auto])];
  const ratio = theirs > 0 && ours > 0 ? `${(ours / theirs).toFixed(2)} times as many` : 'not both reach it';
  line('', `at recall ${RECALL} or better: ${whole(theirs)} queries/s, SealVec ${whole(ours)} (${ratio})`);
}

async function benchSet(name, peers) {
  const set = await loadSet(name);
  const { rows, dim, metric, count } = set;
  console.log(`\n== ${name}: ${whole(rows)} × ${dim}, ${metric}, ${whole(Math.min(count, COUNT ?? count))} queries ==`);
  const own = await measureSealvec(set);
  for (const { name: peer, version } of peers) {
    try {
      printPeer(peer, version, await run('peer', { name: peer, set: name, count: COUNT }), rows, own);
    } catch (error) {
      console.log(`\n  ${peer} ${version}: ${error.message}`);
    }
  }
}

printMachine();
if (ONLY !== 'kernels') {
  await mkdir(FOLDER, { recursive: true });
  const peers = PEERS ? installPeers(console.log) : [];
  for (const name of chooseSets(DATA)) await benchSet(name, peers);
}
console.log('\n== kernels, one thread ==');
await benchKernels();
console.log('\n== sizes ==');
await import('./size.js');
// Whether they are within their limits is for `make size` to say.
process.exitCode = 0;
