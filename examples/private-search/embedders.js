// Which embedder an index was made with. Vectors of one say nothing about vectors of another.
import { hashed } from './embed-hashed.js';
import { loadModel } from './embed-model.js';
import { percent, say } from './words.js';

/** The model that the server allows this page to fetch, if any. */
export async function allowedModel() {
  const response = await fetch('settings.json').catch(() => undefined);
  return response?.ok ? (await response.json()).model : null;
}

/** The embedder of a name, ready. */
export async function readyEmbedder(name, model) {
  if (name === hashed.name) return hashed;
  if (!model) {
    throw new Error(
      'this index was made with the model gte-small, which this page may not fetch. Start it ' +
        'with `make example model=1`',
    );
  }
  say('Fetching the model gte-small…');
  const onProgress = (share) => say(`Fetching the model gte-small: ${percent(share)}`);
  try {
    return await loadModel(model, onProgress);
  } finally {
    say('');
  }
}
