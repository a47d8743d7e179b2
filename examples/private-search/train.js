// Training: the lists by which a query finds its neighbourhood.
import { $ } from './dom.js';
import { watch } from './progress.js';
import { attempt, counted, say } from './words.js';
import { MIN_ROWS } from './vault.js';

const PHASES = [
  ['sample', 'Open and sample'], ['cluster', 'Find centroids'], ['assign', 'Assign and encrypt'],
  ['calibrate', 'Measure recall'], ['commit', 'Commit'],
];

function stateText({ count, nLists }) {
  if (nLists > 0) return `${counted(nLists, 'list')}. A query visits the nearest of them only.`;
  const exact = 'Untrained: a query is compared with every passage, and answers are exact.';
  if (count >= MIN_ROWS) return `${exact} Training groups passages into lists.`;
  return `${exact} From ${MIN_ROWS} passages on, training makes queries faster.`;
}

/** Calls `whenTrained` after each training that ended well. */
export function trainPanel({ index }, whenTrained) {
  let running = false;

  async function refresh() {
    if (running) return;
    const stats = await index.stats();
    $('train-text').textContent = stateText(stats);
    $('train').textContent = stats.nLists > 0 ? 'Train again' : 'Train';
    $('train').disabled = stats.count < MIN_ROWS;
  }

  async function train() {
    running = true;
    $('train').disabled = true;
    say('');
    const how = { label: 'Training', opener: $('train'), phases: PHASES };
    const result = await attempt(async () => {
      const done = await watch($('train-progress'), how, async (watched) => {
        $('train-text').textContent = 'Searching and adding work meanwhile.';
        const trained = await index.train(watched);
        // What training has replaced is gone at once, and not only with the next write.
        await index.compact();
        return trained;
      });
      if (!done) say('Training was cancelled. The index is as it was.');
      return done;
    });
    running = false;
    await attempt(refresh);
    if (!result) return;
    const { nLists, seconds, iterations, workers } = result;
    say(`Trained in ${seconds.toFixed(1)} s: ${counted(nLists, 'list')}, ` +
      `${counted(iterations, 'iteration')}, ${counted(workers, 'worker')}.`);
    await attempt(whenTrained);
  }

  $('train').addEventListener('click', train);
  return refresh;
}
