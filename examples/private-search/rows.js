// Rows of the index itself, for what is measured and drawn.

/** Up to `count` ids, each as likely as another. */
export async function sampleIds(index, count) {
  const { ids } = await index.listIds();
  const take = Math.min(count, ids.length);
  for (let i = 0; i < take; i++) {
    const other = i + Math.floor(Math.random() * (ids.length - i));
    [ids[i], ids[other]] = [ids[other], ids[i]];
  }
  return ids.slice(0, take);
}

/** Lets the page draw and take clicks. */
export const breathe = () => new Promise((resolve) => { setTimeout(resolve); });
