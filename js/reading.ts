/** The part that opens and searches an index. */
export { readAnchor } from './anchor.js';
export { findIndex } from './bounds.js';
export { Core } from './core.js';
export { listIndexNames } from './header.js';
export { getItems, listIds, readStats } from './lookup.js';
export { chooseMerge } from './merge-choice.js';
export { OpenIndex } from './open-index.js';
export { runQuery } from './query.js';
