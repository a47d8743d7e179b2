// In Node or Electron: the key of an index in the keychain of the operating system. `entry` is what
// @napi-rs/keyring makes:
//
//   new Entry('my-app', 'key of the index', { linux: { store: 'secret-service' } })
//
// Without that store it falls back on memory of the Linux kernel, which forgets at the next start.

/** The key of an entry; made by `generate` where there is none. To lose it is to lose the data. */
export function openKey(entry, generate) {
  const known = entry.getPassword();
  if (known) return decode(known);
  const key = generate();
  entry.setPassword(Buffer.from(key).toString('base64'));
  // A keychain that forgets, or that another program writes to, shows before data depends on it.
  const stored = entry.getPassword();
  if (!stored || !key.every((byte, i) => decode(stored)[i] === byte)) {
    throw new Error('the keychain did not keep the key');
  }
  return key;
}

/** Never a new key in place of one that cannot be read. */
function decode(text) {
  const key = new Uint8Array(Buffer.from(text, 'base64'));
  if (key.length !== 32) throw new Error('the keychain holds something else under this name');
  return key;
}
