/** The part that makes indexes, and changes who may open them. */
export { writeAnchor } from './anchor.js';
export { createUser, deleteUser, listUsers, rotateIndexKey } from './key-changes.js';
export { createIndex } from './new-index.js';
export { rekeyIndex } from './rekey.js';
