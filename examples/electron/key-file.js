// The key of the index: random bytes, kept in a file under the key store of the operating system.
import { readFile, writeFile } from 'node:fs/promises';

export class KeyFile {
  #path;
  #safeStorage;

  constructor(path, safeStorage) {
    this.#path = path;
    this.#safeStorage = safeStorage;
  }

  /** The key, made by `generate` when there is none. To lose this file is to lose the data. */
  async open(generate) {
    this.#check();
    const sealed = await readFile(this.#path).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
    });
    return sealed ? this.#read(sealed) : this.#make(generate());
  }

  /** On Linux without a key store, safeStorage would only scramble. */
  #check() {
    const { isEncryptionAvailable, getSelectedStorageBackend } = this.#safeStorage;
    const backend = getSelectedStorageBackend?.call(this.#safeStorage);
    if (!isEncryptionAvailable.call(this.#safeStorage) || backend === 'basic_text') {
      throw new Error('the operating system offers no key store to keep the key in');
    }
  }

  #read(sealed) {
    return new Uint8Array(Buffer.from(this.#safeStorage.decryptString(sealed), 'base64'));
  }

  async #make(key) {
    const sealed = this.#safeStorage.encryptString(Buffer.from(key).toString('base64'));
    // Never over a key that is there: that would lose its data.
    await writeFile(this.#path, sealed, { flag: 'wx', mode: 0o600 });
    return key;
  }
}
