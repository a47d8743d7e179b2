/** The part that changes, copies and removes an index. */
export { splitLists } from './list-split.js';
export { compactIndex, maintain } from './merge.js';
export { removeIndex } from './removal.js';
export { toRows } from './rows.js';
export { copyIndex } from './transfer.js';
export { deleteIds, upsertRows } from './writer.js';
