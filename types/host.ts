/**
 * The public types that SealVec meets its host with: errors, storage, signals,
 * workers, the source of the core. No runtime code, no imports, no DOM library needed.
 */

/** Stable codes of every {@link SealvecErrorLike}. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'DIMENSION_MISMATCH'
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'NOT_ENOUGH_VECTORS'
  | 'TRAINING_IN_PROGRESS'
  | 'WRONG_KEY'
  | 'PERMISSION_DENIED'
  | 'CORRUPTED'
  | 'ROLLED_BACK'
  | 'CONFLICT'
  | 'QUOTA_EXCEEDED'
  | 'STORAGE'
  | 'OUT_OF_MEMORY'
  | 'CLOSED'
  | 'UNSUPPORTED';

/** The shape of every error this library throws. */
export interface SealvecErrorLike {
  readonly name: 'SealvecError';
  readonly code: ErrorCode;
  readonly message: string;
  readonly cause?: unknown;
}

/** The part of the standard AbortSignal that is used. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason?: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A part of an object: `length` bytes from `offset` on. */
export interface Part {
  readonly offset: number;
  readonly length: number;
}

/**
 * A store of write-once objects. It sees no key and no plaintext. Keys are
 * made of `a-z 0-9 - _ . % /`, at most 400 characters.
 */
export interface Storage {
  /**
   * The bytes of an object, or of `length` bytes from `offset` (fewer where
   * the object ends first); undefined when there is no such object.
   */
  read(key: string, range?: Part): Promise<Uint8Array | undefined>;
  /**
   * What read gives for each of the parts of one object; undefined when there is no such object.
   * May be left out: read is called for each of them then.
   */
  readParts?(key: string, parts: readonly Part[]): Promise<Uint8Array[] | undefined>;
  /**
   * Makes an object that did not exist. Durable when it resolves; false, and
   * nothing changed, when the key exists.
   */
  create(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Removes objects; keys that do not exist are ignored. */
  delete(keys: string[]): Promise<void>;
  /** Every key that begins with prefix, in no particular order. */
  list(prefix: string): Promise<string[]>;
  /** Releases what the storage holds open. */
  close(): Promise<void>;
}

/** Where warnings go. */
export interface Logger {
  warn(message: string): void;
}

/** WebAssembly.Module, where the caller's libraries declare it; never elsewhere. */
export type WasmModule = typeof globalThis extends {
  WebAssembly: { Module: { prototype: infer Module } };
}
  ? Module
  : never;

/** The part of a URL that is used. */
export interface UrlLike {
  readonly href: string;
}

/** The compiled core, or where to find it. */
export type WasmSource =
  | WasmModule
  | ArrayBuffer
  | Uint8Array
  | UrlLike
  | string
  | ResponseLike
  | Promise<WasmModule | ArrayBuffer | Uint8Array | ResponseLike>;

/** The part of a fetch Response that is used. */
export interface ResponseLike {
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** A Web Worker as far as training needs one. */
export interface WorkerLike {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  terminate(): unknown;
  addEventListener(
    type: string, listener: (event: { data?: unknown; message?: string }) => void,
  ): void;
}
