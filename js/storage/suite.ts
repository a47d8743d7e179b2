import type { Storage } from '../../types/api.js';
import { storageCases } from './suite-cases.js';

/** A storage under test, empty when it is opened. */
export interface OpenedStorage {
  storage: Storage;
  /** Closes what holds the objects and opens it anew, as another process would. */
  reopen(): Promise<Storage>;
  /** Removes everything; called after each test, passed or not. */
  destroy?(): Promise<void>;
}

export interface StorageSuiteOptions {
  /** What declares a test: of node:test, jest, vitest, mocha (`it`) or your own. */
  test(name: string, body: () => Promise<void>): unknown;
  open(): Promise<OpenedStorage>;
  /** Called with every condition; throws an Error by default. */
  assert?(condition: boolean, message: string): void;
}

/**
 * storageSuite declares the tests that every Storage has to pass. Nothing in it
 * needs Node, so that it runs in browsers too.
 *
 * @example
 * storageSuite({
 *   test,
 *   async open() {
 *     const bucket = await makeBucket();
 *     return {
 *       storage: bucketStorage(bucket),
 *       reopen: async () => bucketStorage(bucket),
 *       destroy: () => bucket.remove(),
 *     };
 *   },
 * });
 */
export function storageSuite(options: StorageSuiteOptions): void {
  const check = options.assert ?? assertTrue;
  for (const [name, body] of storageCases) {
    options.test(name, async () => {
      const opened = await options.open();
      try {
        await body({ ...opened, storage: opened.storage, reopen: () => opened.reopen(), check });
      } finally {
        await opened.destroy?.();
      }
    });
  }
}

function assertTrue(condition: boolean, message: string): void {
  if (!condition) throw new Error(message);
}
