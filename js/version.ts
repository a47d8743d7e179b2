/** What every file of an index says of itself first. */
export const FORMAT_VERSION = 1;
/** XChaCha20-Poly1305, BLAKE2b, Ed25519, SipHash-2-4. */
export const SUITE = 1;
