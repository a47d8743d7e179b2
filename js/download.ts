/** Fetching the core in a page, and saying what to do when something else comes in its place. */
import { SealvecError } from './errors.js';

interface FetchedResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  arrayBuffer(): Promise<ArrayBuffer>;
}

declare const fetch: (url: string) => Promise<FetchedResponse>;

const FIXES = 'Either serve sealvec.wasm of the package there, as it is; or pass the URL it has ' +
  '(or its bytes, or a WebAssembly.Module) as the wasm option of Client; or keep the bundler ' +
  "from moving the library away from it (Vite: optimizeDeps: { exclude: ['sealvec'] })";

function unreachable(url: string, answer: string, cause?: unknown): SealvecError {
  return new SealvecError('UNSUPPORTED', `wasm: ${url} ${answer}. ${FIXES}`, { cause });
}

function isWasm(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && bytes[1] === 0x61 && bytes[2] === 0x73 && bytes[3] === 0x6d;
}

/** The bytes at a URL, which must be WebAssembly. */
export async function download(url: string): Promise<Uint8Array> {
  let response: FetchedResponse;
  let bytes: Uint8Array;
  try {
    response = await fetch(url);
    bytes = new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw unreachable(url, `could not be fetched (${String(cause)})`, cause);
  }
  if (response.ok && isWasm(bytes)) return bytes;
  const type = response.headers.get('content-type') ?? 'none';
  const what = response.ok ? 'which is not WebAssembly' : 'which is no success';
  throw unreachable(url, `answered with status ${response.status}, content-type ${type}, ${what}`);
}
