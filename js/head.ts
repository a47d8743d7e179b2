/** The beginning of an object read at once: its table of hashes, and the sections behind it. */
import { type ObjectContext, objectKey, type ObjectRef } from './object.js';
import { ObjectLayout } from './object-layout.js';
import { readParts } from './stored-parts.js';

/**
 * Runs `work` in a context in which the object, up to the end of its first `sections`, is read in
 * one go when anything of that is asked for. Afterwards that context reads like any other.
 */
export async function withHead<T>(
  { core, keyring, indexId, storage }: ObjectContext, ref: ObjectRef, sections: number,
  work: (context: ObjectContext) => Promise<T>,
): Promise<T> {
  const layout = new ObjectLayout(ref);
  const behind = layout.sections[sections];
  const size = behind ? layout.head + behind.at : layout.size;
  const own = objectKey(indexId, ref.id);
  let head: ReturnType<typeof storage.read> | undefined;
  let over = false;
  const read: typeof storage.read = async (key, range) => {
    if (over || key !== own || !range || range.offset + range.length > size) {
      return storage.read(key, range);
    }
    head ??= storage.read(own, { offset: 0, length: size });
    return (await head)?.subarray(range.offset, range.offset + range.length);
  };
  const parts: ObjectContext['storage'] = {
    read,
    readParts: async (key, wanted) => readParts(over ? storage : { read }, key, wanted),
  };
  try {
    return await work({ core, keyring, indexId, storage: parts });
  } finally {
    over = true;
    head = undefined;
  }
}
