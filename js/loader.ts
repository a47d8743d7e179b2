/** Finds and compiles the wasm core: once for the default one, and once per Client for another. */
import { readCore } from './assets.js';
import { SealvecError } from './errors.js';
import { readFrom } from './platform.js';
import { copyTyped, invalid, isKind, reading } from './validate.js';
import type { ResponseLike, UrlLike, WasmSource } from '../types/api.js';

const MAGIC = [0x00, 0x61, 0x73, 0x6d];
const EXPECTED = 'a module, its bytes, a URL or a Response';
/** Exported by the core and by nothing else. */
const MARK = 'sv_check_rows';

let standard: Promise<WebAssembly.Module> | undefined;

type Shape = 'module' | 'buffer' | 'bytes' | 'text' | 'url' | 'response' | 'promise';

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** What kind of source a value is, of whatever realm; undefined when it is none. */
function shapeOf(value: unknown): Shape | undefined {
  if (typeof value === 'string') return value === '' ? undefined : 'text';
  if (typeof value !== 'object' || value === null) return undefined;
  if (tagOf(value) === 'WebAssembly.Module') return 'module';
  if (tagOf(value) === 'ArrayBuffer') return 'buffer';
  if (isKind(value, 'Uint8Array')) return 'bytes';
  const { then, arrayBuffer, href } = value as Record<string, unknown>;
  if (typeof then === 'function') return 'promise';
  if (typeof arrayBuffer === 'function') return 'response';
  return typeof href === 'string' ? 'url' : undefined;
}

/** Refuses what cannot be a core, before it is needed, and copies what may change until then. */
export function checkSource(value: unknown): WasmSource {
  const shape = reading('wasm', () => shapeOf(value));
  if (shape === undefined) invalid('wasm', EXPECTED, value);
  if (shape !== 'bytes' && shape !== 'buffer') return value as WasmSource;
  const bytes = reading('wasm', () =>
    shape === 'bytes' ? value as Uint8Array : new Uint8Array(value as ArrayBuffer));
  const copy = copyTyped('wasm', bytes, Uint8Array);
  return copy.length > 0 ? copy : invalid('wasm', EXPECTED, value);
}

async function compile(bytes: Uint8Array, from: string): Promise<WebAssembly.Module> {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    const first = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0'));
    throw new SealvecError(
      'UNSUPPORTED', `wasm: ${from} is no WebAssembly (begins with ${first.join(' ')}); ` +
      'serve sealvec.wasm as it is, or pass its bytes or URL as the wasm option of Client',
    );
  }
  try {
    return await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>);
  } catch (cause) {
    const message = `wasm: ${from} does not compile here; SealVec needs WebAssembly SIMD`;
    throw new SealvecError('UNSUPPORTED', message, { cause });
  }
}

/** Reads bytes from somewhere else. */
async function fetched(from: string, read: () => Promise<Uint8Array>): Promise<Uint8Array> {
  try {
    return await read();
  } catch (cause) {
    if (cause instanceof SealvecError) throw cause;
    throw new SealvecError('UNSUPPORTED', `wasm: ${from} could not be read`, { cause });
  }
}

async function load(source: unknown): Promise<WebAssembly.Module> {
  switch (shapeOf(source)) {
    case 'module':
      return source as WebAssembly.Module;
    case 'buffer':
    case 'bytes':
      return compile(checkSource(source) as Uint8Array, 'the bytes given');
    case 'text':
    case 'url': {
      const place = typeof source === 'string' ? source : (source as UrlLike).href;
      return compile(await fetched(place, () => readFrom(place)), place);
    }
    case 'response': {
      const from = 'the response given';
      const read = (): Promise<ArrayBuffer> => (source as ResponseLike).arrayBuffer();
      return compile(await fetched(from, async () => new Uint8Array(await read())), from);
    }
    default:
      return invalid('wasm', EXPECTED, source);
  }
}

function isCore(module: WebAssembly.Module): boolean {
  try {
    return WebAssembly.Module.exports(module).some(({ name }) => name === MARK);
  } catch {
    return false;
  }
}

/** The module of the core. */
export async function loadModule(source: WasmSource | undefined): Promise<WebAssembly.Module> {
  if (source === undefined) {
    standard ??= readCore().then((bytes) => compile(bytes, 'sealvec.wasm'));
    standard.catch(() => { standard = undefined; });
    return standard;
  }
  const module = await load(await source);
  if (isCore(module)) return module;
  throw new SealvecError('UNSUPPORTED', 'wasm: expected sealvec.wasm, got another module');
}
