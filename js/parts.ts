/** What a page need not have before it uses an index: each part comes with its first call. */
import { late } from './late.js';

type Part<T> = () => Promise<T>;

/** A part that is loaded once; importing it again would cost each query several microseconds. */
function once<T>(load: Part<T>): Part<T> {
  let known: T | undefined;
  return async () => known ??= await late(load);
}

/** Opening and searching; it comes together with the core. */
export const reading: Part<typeof import('./reading.js')> =
  once(() => import('./reading.js'));

/** Changing, copying and removing. */
export const writing: Part<typeof import('./writing.js')> = () =>
  late(() => import('./writing.js'));

/** Making indexes, and changing who may open them. */
export const managing: Part<typeof import('./managing.js')> = () =>
  late(() => import('./managing.js'));

export const training: Part<typeof import('./training.js')> = () =>
  late(() => import('./training.js'));

/** Making keys of passphrases. */
export const stretching: Part<typeof import('./stretching.js')> = () =>
  late(() => import('./stretching.js'));
