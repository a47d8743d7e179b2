export async function deriveKey({ passphrase, salt }) {
  const bytes = new TextEncoder().encode(passphrase);
  const base = await crypto.subtle.importKey('raw', bytes, 'PBKDF2', false, ['deriveBits']);
  const how = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: 600_000 };
  return new Uint8Array(await crypto.subtle.deriveBits(how, base, 256));
}
