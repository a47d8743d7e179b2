// A progress bar with its phases and a button that stops the work.
import { drawn, h } from './dom.js';
import { percent } from './words.js';

const isAbort = (error) => error?.name === 'AbortError';

/**
 * Runs work({ onProgress, signal }) under a bar in an element. `phases` are pairs of a name and its
 * words. Answers what work does, or undefined when it was stopped. The focus, if it was on the
 * button that stops, goes to `opener`.
 */
export async function watch(element, { label, opener, phases = [] }, work) {
  const controller = new AbortController();
  const bar = h('progress', { max: '1', value: '0', 'aria-label': label });
  const share = h('span', { class: 'muted' }, '0 %');
  const cancel = h('button', { type: 'button' }, 'Cancel');
  const steps = phases.map(([name, words]) => ({ name, item: h('li', {}, words) }));
  const list = h('ol', { class: 'phases' }, ...steps.map(({ item }) => item));
  cancel.addEventListener('click', () => {
    cancel.textContent = 'Cancelling…';
    controller.abort();
  });
  const line = h('div', { class: 'line' }, share, cancel);
  element.replaceChildren(bar, ...(phases.length > 0 ? [list] : []), line);
  element.hidden = false;
  const onProgress = ({ phase, fraction, note }) => {
    bar.value = fraction;
    share.textContent = note ?? percent(fraction);
    for (const { name, item } of steps) {
      if (name === phase) item.setAttribute('aria-current', 'step');
      else item.removeAttribute('aria-current');
    }
  };
  try {
    await drawn();
    return await work({ onProgress, signal: controller.signal });
  } catch (error) {
    if (!isAbort(error)) throw error;
    return undefined;
  } finally {
    const focused = element.contains(document.activeElement);
    element.hidden = true;
    element.replaceChildren();
    if (focused) {
      opener.disabled = false;
      opener.focus();
    }
  }
}
