// Notes in an encrypted index, wherever it is kept: the main process and the page share this.
import { DIMENSION, embed } from './embed.js';

export class Notes {
  #index;

  constructor(index) {
    this.#index = index;
  }

  /** Opens the index of a client, and makes it the first time. */
  static async open(client, indexKey) {
    const indexName = 'notes';
    const names = await client.listIndexes();
    const index = names.includes(indexName)
      ? await client.loadIndex({ indexName, indexKey })
      : await client.createIndex({ indexName, indexKey, dimension: DIMENSION, metric: 'cosine' });
    return new Notes(index);
  }

  async add(text) {
    const id = crypto.randomUUID();
    await this.#index.upsert({ items: [{ id, vector: embed(text), contents: text }] });
  }

  /** The notes nearest to a text, nearest first. */
  async search(text) {
    const { results } = await this.#index.query({
      queryVectors: embed(text), topK: 5, include: ['distance', 'contents'],
    });
    return results.map(({ contents, distance }) => ({ text: contents, distance }));
  }
}
