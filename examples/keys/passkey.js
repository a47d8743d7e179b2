// In a page: a passkey as a user of the index, by the PRF extension of WebAuthn. The authenticator
// makes 32 secret bytes that are the same each time, for this site and this salt.
import { importSecret, subkey } from './subkeys.js';

// Another salt gives other keys: it may never change.
const SALT = new TextEncoder().encode('notes: keys of the index, version 1');
const random = (length) => crypto.getRandomValues(new Uint8Array(length));

/** Makes a passkey for this site; its id is to be kept, and is no secret. */
export async function createPasskey(userName) {
  const credential = await navigator.credentials.create({
    publicKey: {
      challenge: random(32),
      rp: { name: 'Notes' },
      user: { id: random(16), name: userName, displayName: userName },
      pubKeyCredParams: [-7, -257].map((alg) => ({ type: 'public-key', alg })),
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'required' },
      extensions: { prf: {} },
    },
  });
  if (!credential.getClientExtensionResults().prf?.enabled) {
    throw new Error('this authenticator makes no secrets (PRF)');
  }
  return new Uint8Array(credential.rawId);
}

/** Who the owner of a passkey is to an index: { userId, userKey }. Asks them to be there. */
export async function openPasskey(id) {
  const assertion = await navigator.credentials.get({
    publicKey: {
      challenge: random(32),
      allowCredentials: [{ type: 'public-key', id }],
      // Without verification of the user the secret is another one.
      userVerification: 'required',
      extensions: { prf: { eval: { first: SALT } } },
    },
  });
  const first = assertion.getClientExtensionResults().prf?.results?.first;
  if (!first) throw new Error('this authenticator gave no secret (PRF)');
  const secret = await importSecret(new Uint8Array(first));
  return {
    userId: await subkey(secret, 'user id', 16), userKey: await subkey(secret, 'user key'),
  };
}
