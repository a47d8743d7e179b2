// Native FAISS (Debian's python3-faiss), where it is installed: what its IVFFlat takes to train and
// to add the same vectors in as many lists on as many threads, and what its lists find.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { fileOf } from './datasets.js';

/** Debian's own, for which the package is. */
const PYTHON = '/usr/bin/python3';
const SCRIPT = fileURLToPath(new URL('ivfflat.py', import.meta.url));
/** Metrics that FAISS is asked for as squared L2, of normalised rows for cosine. */
const METRICS = ['euclidean', 'cosine'];

export function hasFaiss() {
  try {
    execFileSync(PYTHON, ['-c', 'import faiss, numpy'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Figures of one set; undefined for a metric that is not compared. */
export function runFaiss({ name, metric }, options) {
  if (!METRICS.includes(metric)) return undefined;
  const [base, queries] = ['base', 'queries'].map((part) => fileURLToPath(fileOf(name, part)));
  const given = JSON.stringify({ base, queries, metric, ...options });
  const env = { ...process.env, OPENBLAS_NUM_THREADS: String(options.threads) };
  const output = execFileSync(PYTHON, [SCRIPT, given], { encoding: 'utf8', env });
  return JSON.parse(output.trim().split('\n').at(-1));
}

/** Their recall where they compare as many rows, between the steps of their ladder. */
function recallAt(searches, scanned) {
  const next = searches.findIndex((one) => one.scanned >= scanned);
  if (next <= 0) return undefined;
  const [low, high] = [searches[next - 1], searches[next]];
  const share = Math.log(scanned / low.scanned) / Math.log(high.scanned / low.scanned);
  return low.recall + share * (high.recall - low.recall);
}

/** By how much recall is above theirs at equal rows, where ours is 0.9 to 0.99: the least. */
export function recallAbove(ours, theirs) {
  const gains = ours.filter(({ recall }) => recall >= 0.9 && recall <= 0.99).map((one) =>
    one.recall - recallAt(theirs, one.scanned)).filter(Number.isFinite);
  return gains.length > 0 ? Math.min(...gains) : undefined;
}
