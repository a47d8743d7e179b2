/** Base64, where neither Node's Buffer nor a fetch of a data: URL can be relied on. */

/** The bytes that a base64 text stands for. */
export function fromBase64(text: string): Uint8Array {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
