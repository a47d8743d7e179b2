/** Parts of the library that are loaded when they are first used. */
import { SealvecError } from './errors.js';

/** Loads a part, unless its file is out of reach; the next call then tries again. */
export async function late<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const why = `a part of the library could not be loaded (${String(cause)})`;
    const fix = "keep the files of its dist/ together, or take sealvec/inline";
    throw new SealvecError('UNSUPPORTED', `${why}; ${fix}, which is one file`, { cause });
  }
}
