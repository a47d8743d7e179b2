import { randomBytes } from './bytes.js';

/**
 * A new index key: 32 random bytes. Keep it where your application keeps secrets; whoever loses it
 * loses the data.
 *
 * @example
 * const indexKey = generateKey();
 */
export function generateKey(): Uint8Array {
  return randomBytes(32);
}
