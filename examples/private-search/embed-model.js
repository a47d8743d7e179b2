// The model gte-small by Transformers.js. Both come from the network, so this works only where the
// server's policy allows it (`make example model=1`); the browser keeps what it has fetched. Texts
// are embedded in this page and are sent nowhere.
const DIMENSION = 384;
const BATCH = 8;

/** Loads the library and the model; `onProgress` hears how far the fetching is, 0 to 1. */
async function load({ url, name }, onProgress) {
  const { env, pipeline } = await import(url);
  env.allowLocalModels = false;
  const loaded = new Map();
  const hear = ({ file, loaded: bytes, total }) => {
    if (!total) return;
    loaded.set(file, { bytes, total });
    const sum = (field) => [...loaded.values()].reduce((all, one) => all + one[field], 0);
    onProgress(sum('bytes') / sum('total'));
  };
  return pipeline('feature-extraction', name, { dtype: 'q8', progress_callback: hear });
}

export async function loadModel(model, onProgress) {
  const extract = await load(model, onProgress).catch((cause) => {
    throw new Error(`the model could not be loaded (${cause.message})`, { cause });
  });
  return {
    name: 'gte-small',
    dimension: DIMENSION,
    async embed(texts) {
      const vectors = [];
      for (let from = 0; from < texts.length; from += BATCH) {
        const batch = texts.slice(from, from + BATCH);
        const { data } = await extract(batch, { pooling: 'mean', normalize: true });
        batch.forEach((_, i) => {
          vectors.push(Float32Array.from(data.slice(i * DIMENSION, (i + 1) * DIMENSION)));
        });
      }
      return vectors;
    },
  };
}
