// The page from its passphrase to its panels. Locking and wiping load it anew, so that nothing of
// the key or of what was decrypted stays in memory.
import { addPanel } from './add.js';
import { $ } from './dom.js';
import { allowedModel } from './embedders.js';
import { throughGate } from './gate.js';
import { mapPanel } from './map.js';
import { plotPanel } from './plot.js';
import { searchPanel } from './search.js';
import { storedPanel } from './stored.js';
import { trainPanel } from './train.js';
import { look, wipeVault } from './vault.js';
import { attempt, say } from './words.js';

const WIPED = '#wiped';

/** Sets the panels up, and calls the refresh of each whenever the index has changed. */
async function open(session) {
  const panels = [];
  const changed = async () => {
    for (const refresh of panels) await refresh();
  };
  const plot = plotPanel(session);
  const map = mapPanel(session);
  const trained = async () => {
    await changed();
    await plot.draw();
    await map.draw();
  };
  panels.push(
    addPanel(session, changed), searchPanel(session), trainPanel(session, trained), plot.refresh,
    map.refresh, storedPanel(),
  );
  $('app').hidden = false;
  $('lock').hidden = false;
  $('wipe').hidden = false;
  await changed();
  $('query').focus();
}

/** Closes what is open and deletes everything, once the dialog is answered with yes. */
function offerWipe(close) {
  const dialog = $('wipe-dialog');
  $('wipe').addEventListener('click', () => {
    dialog.returnValue = '';
    dialog.showModal();
  });
  dialog.addEventListener('close', () => attempt(async () => {
    if (dialog.returnValue !== 'wipe') return;
    await close();
    await wipeVault();
    location.hash = WIPED;
    location.reload();
  }));
}

async function start() {
  let session;
  offerWipe(async () => session?.client.close());
  $('lock').addEventListener('click', () => location.reload());
  if (location.hash === WIPED) {
    say('Everything was wiped.');
    history.replaceState(null, '', location.pathname);
  }
  const [found, model] = await Promise.all([look(), allowedModel()]);
  $('wipe').hidden = !found.exists;
  session = await throughGate(found, model);
  await open(session);
}

await attempt(start);
