// The objects of a folder on disk, by key (the head of js/storage/file-names.ts).
import fs from 'node:fs';
import path from 'node:path';

function walk(folder, prefix, objects) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (prefix === '' && entry.name === '.tmp') continue;
    const continues = entry.name.endsWith('+');
    const name = (continues ? entry.name.slice(0, -1) : entry.name).replace(/^~(.*)~$/, '$1');
    const at = path.join(folder, entry.name);
    if (entry.isDirectory()) walk(at, `${prefix}${name}${continues ? '' : '/'}`, objects);
    else objects.set(prefix + name, new Uint8Array(fs.readFileSync(at)));
  }
  return objects;
}

/** A Map of keys to bytes. */
export const readFolder = (folder) => walk(folder, '', new Map());
