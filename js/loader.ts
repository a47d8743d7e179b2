/** Finds and compiles the wasm core: once for the default one, and once per Client for another. */
import { SealvecError } from './errors.js';
import { readCore, readFrom } from './platform.js';
import type { ResponseLike, WasmSource } from '../types/api.js';

const MAGIC = [0x00, 0x61, 0x73, 0x6d];

let standard: Promise<WebAssembly.Module> | undefined;

async function compile(bytes: Uint8Array, from: string): Promise<WebAssembly.Module> {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    const head = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    throw new SealvecError('UNSUPPORTED', `wasm: ${from} is no WebAssembly (begins with ${head}); ` +
      'serve sealvec.wasm as it is, or pass its bytes or URL as the wasm option of Client');
  }
  try {
    return await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    throw new SealvecError('UNSUPPORTED', `wasm: ${from} does not compile here; SealVec needs WebAssembly SIMD`, { cause });
  }
}

function isResponse(source: object): source is ResponseLike {
  return typeof (source as ResponseLike).arrayBuffer === 'function';
}

/** The module of the core. */
export async function loadModule(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  if (source === undefined) {
    standard ??= readCore().then((bytes) => compile(bytes, 'sealvec.wasm'));
    standard.catch(() => { standard = undefined; });
    return standard;
  }
  const given = await source;
  if (given instanceof WebAssembly.Module) return given;
  if (typeof given === 'string') return compile(await readFrom(given), given);
  if (given instanceof Uint8Array) return compile(given, 'the bytes given');
  if (given instanceof ArrayBuffer) return compile(new Uint8Array(given), 'the bytes given');
  if ('href' in given) return compile(await readFrom(given), given.href);
  if (isResponse(given)) return compile(new Uint8Array(await given.arrayBuffer()), 'the response given');
  throw new SealvecError('INVALID_ARGUMENT', 'wasm: expected a module, bytes, a Response or a URL');
}
