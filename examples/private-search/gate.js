// The passphrase: chosen for a new index, typed for one that is there.
import { hashed } from './embed-hashed.js';
import { readyEmbedder } from './embedders.js';
import { $, drawn } from './dom.js';
import { createVault, openVault } from './vault.js';
import { inWords } from './words.js';

const LEAST_LETTERS = 10;

const TEXTS = {
  fresh: {
    title: 'Choose a passphrase',
    text: 'Everything you add is encrypted with a key made from it. It is stored nowhere and ' +
      'cannot be recovered: four or five unrelated words are good, and easy to keep.',
    submit: 'Make the index',
  },
  known: {
    title: 'Type the passphrase',
    text: 'There is an encrypted index in this browser.',
    submit: 'Open the index',
  },
};

function modelNote(model) {
  const what = 'Fetches about 60 MB from cdn.jsdelivr.net and huggingface.co, which thereby ' +
    'learn that you use it; your texts stay here.';
  return model ? what : `${what} Not allowed now: start with “make example model=1”.`;
}

/** Opens or makes the index; what is wrong with the passphrase is thrown as words. */
async function pass({ exists, record }, model) {
  const passphrase = $('passphrase').value.normalize('NFKC');
  if (exists && !record) {
    throw new Error('the salt is gone, without which no passphrase opens the index; wipe it');
  }
  if (exists) {
    const vault = await openVault(passphrase, record);
    try {
      return { ...vault, embedder: await readyEmbedder(record.embedder, model) };
    } catch (error) {
      await vault.client.close();
      throw error;
    }
  }
  if (passphrase.length < LEAST_LETTERS) {
    throw new Error(`the passphrase needs at least ${LEAST_LETTERS} letters`);
  }
  if (passphrase !== $('again').value.normalize('NFKC')) {
    throw new Error('the two passphrases differ');
  }
  const choice = document.querySelector('[name=embedder]:checked').value;
  const embedder = await readyEmbedder(record?.embedder ?? choice, model);
  return { ...await createVault(passphrase, embedder), embedder };
}

function prepare({ exists, record }, model) {
  const { title, text, submit } = exists ? TEXTS.known : TEXTS.fresh;
  $('gate-title').textContent = title;
  $('gate-text').textContent = text;
  $('gate-submit').textContent = submit;
  $('gate-new').hidden = exists;
  $('again').required = !exists;
  // Made by half, the index has its embedder already.
  $('embedders').hidden = record !== undefined;
  $('passphrase').autocomplete = exists ? 'current-password' : 'new-password';
  $('model-note').textContent = modelNote(model);
  document.querySelector(`[name=embedder]:not([value=${hashed.name}])`).disabled = !model;
  $('gate').hidden = false;
  $('passphrase').focus();
}

/** Shows the gate until a passphrase opens it: { client, index, embedder }. */
export function throughGate(found, model) {
  prepare(found, model);
  const button = $('gate-submit');
  const { textContent } = button;
  return new Promise((resolve) => {
    $('gate-form').addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      button.textContent = 'Making the key…';
      $('gate-error').textContent = '';
      await drawn();
      try {
        const session = await pass(found, model);
        $('gate-form').reset();
        $('gate').hidden = true;
        resolve(session);
      } catch (error) {
        $('gate-error').textContent = inWords(error);
        $('passphrase').select();
      }
      button.disabled = false;
      button.textContent = textContent;
    });
  });
}
