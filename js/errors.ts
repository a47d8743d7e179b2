import type { ErrorCode, SealvecErrorLike } from '../types/api.js';
import type { WireError } from '../types/protocol.js';

/**
 * SealvecError is the one class this library throws. `code` is stable and
 * meant for programs; `message` names the argument at fault and is meant for
 * people; `cause` is the error underneath, where there is one.
 */
export class SealvecError extends Error implements SealvecErrorLike {
  override readonly name = 'SealvecError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** How many causes deep an error is carried; a cycle of causes ends here too. */
const MAX_CAUSES = 4;

/**
 * toWire turns anything thrown into plain data for postMessage. Class and code
 * of a SealvecError survive; of other errors their name, message and stack do.
 */
export function toWire(error: unknown, depth = 0): WireError {
  if (!isErrorLike(error)) return { name: 'Error', message: textOf(error) };
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    ...(error instanceof SealvecError && { code: error.code }),
    ...(typeof stack === 'string' && { stack }),
    ...(cause !== undefined && depth < MAX_CAUSES && { cause: toWire(cause, depth + 1) }),
  };
}

/** fromWire rebuilds the error that toWire took apart. */
export function fromWire(data: WireError): Error {
  const options = data.cause === undefined ? undefined : { cause: fromWire(data.cause) };
  const error =
    data.code === undefined
      ? namedError(data.name, data.message, options)
      : new SealvecError(data.code, data.message, options);
  if (data.stack !== undefined) {
    setHidden(error, 'stack', data.stack);
  }
  return error;
}

function namedError(name: string, message: string, options?: { cause?: unknown }): Error {
  const error = new Error(message, options);
  setHidden(error, 'name', name);
  return error;
}

function setHidden(error: Error, key: 'name' | 'stack', value: string): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true });
}

interface ErrorLike {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly stack?: unknown;
  readonly cause?: unknown;
}

/** By shape, not by class: errors of another realm (a sandbox, a frame) are errors too. */
function isErrorLike(value: unknown): value is ErrorLike {
  if (typeof value !== 'object' || value === null) return false;
  const { name, message } = value as { name?: unknown; message?: unknown };
  return typeof name === 'string' && typeof message === 'string';
}

function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return 'an object without a text form';
  }
}

/** What backends call being full: errno on a disk, DOMException in a browser. */
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'QuotaExceededError']);

/**
 * storageError maps what a backend threw: no room left is `QUOTA_EXCEEDED`,
 * anything else `STORAGE`. A SealvecError is handed back as it is.
 */
export function storageError(message: string, cause: unknown): SealvecError {
  if (cause instanceof SealvecError) return cause;
  const known = isErrorLike(cause);
  const full = known && (FULL.has(cause.code) || FULL.has(cause.name));
  const reason = known ? cause.message : textOf(cause);
  return new SealvecError(full ? 'QUOTA_EXCEEDED' : 'STORAGE', `${message}: ${reason}`, { cause });
}
