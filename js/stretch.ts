/** A key from a passphrase, wherever that is computed. */
import { Core } from './core.js';
import type { StretchRequest } from '../types/protocol.js';

const KEY = 32;

/**
 * Argon2id in a wasm instance of its own, since wasm memory never shrinks. All of that memory is
 * wiped, and `passphrase` too.
 */
export async function stretch(request: Omit<StretchRequest, 'type'>): Promise<Uint8Array> {
  const { module, passphrase, salt, memory, passes } = request;
  const core = await Core.instantiate(module);
  try {
    return core.withScratch((s) => {
      const out = s.take(KEY);
      const code = core.exports.sv_stretch(
        s.put(passphrase), passphrase.length, s.put(salt), memory * 1024, passes, out, KEY,
      );
      core.check(code, `memory: ${memory} MB for a key`);
      return core.bytes(out, KEY);
    });
  } finally {
    core.wipe();
    passphrase.fill(0);
  }
}
