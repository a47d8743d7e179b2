// What the page says: numbers, errors, and its one line of status.
import { $ } from './dom.js';

const ERRORS = {
  WRONG_KEY: 'This passphrase does not open the index. Nothing was changed; try again.',
  ALREADY_EXISTS: 'Another tab has made the index meanwhile. Reload this page to open it.',
  NOT_FOUND: 'The index is gone: this browser, or another tab, has deleted it. Reload this page.',
  QUOTA_EXCEEDED: 'The browser gives this page no more room. What was stored before is intact.',
  CORRUPTED: 'The stored bytes were changed or damaged, and are refused.',
  OUT_OF_MEMORY: 'This does not fit into memory.',
  CLOSED: 'The index has been locked.',
  TRAINING_IN_PROGRESS: 'Training runs already.',
};

/** An error for people; where there are no better words, the error's own. */
export function inWords(error) {
  return ERRORS[error?.code] ?? `That did not work: ${error?.message ?? error}`;
}

export const whole = (number) => Math.round(number).toLocaleString('en-US');
export const percent = (share) => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
export const size = (bytes) =>
  (bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);
export const ms = (time) => `${time < 10 ? time.toFixed(1) : whole(time)} ms`;
export const counted = (number, one, many = `${one}s`) =>
  `${whole(number)} ${number === 1 ? one : many}`;

/** How long (ms) good news stays. */
const SHOWN = 10_000;
let hiding;

/** Says how things are; '' says nothing. What has failed stays until there is something else. */
export function say(text, failed = false) {
  const status = $('status');
  status.classList.toggle('failed', failed);
  status.textContent = text;
  clearTimeout(hiding);
  if (!failed) hiding = setTimeout(() => { status.textContent = ''; }, SHOWN);
}

/** Runs what a person asked for; says why, where it fails. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    say(inWords(error), true);
    return undefined;
  }
}
