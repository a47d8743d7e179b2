/** Sections in wasm memory become a sealed object (object.ts). */
import { drawBytes, expectFresh } from './bytes.js';
import { hash } from './crypto.js';
import { type ObjectContext, objectHeader } from './object.js';
import { HASH, HEADER, NONCE, ObjectLayout, OVERHEAD, PAGE, PART_CHUNK } from './object-layout.js';
import type { ObjectRef, ObjectType } from '../types/format.js';

/** Wasm memory that becomes a section, in chunks of so many bytes (those of PART_CHUNK). */
export interface SectionSource {
  readonly pointer: number;
  readonly length: number;
  readonly chunkBytes?: number;
}

/** Seals sections that lie in wasm memory into the bytes of a new object under a random id. */
export function sealObject(
  context: ObjectContext, type: ObjectType, sections: readonly SectionSource[],
): { ref: ObjectRef; bytes: Uint8Array } {
  const { core, keyring, indexId } = context;
  const { epoch } = keyring;
  const key = keyring.keys(epoch).objects.pointer;
  const lengths = sections.map(({ length }) => length);
  const chunkBytes = sections.map((section) => section.chunkBytes ?? PART_CHUNK);
  const bare = { id: drawBytes(16), type, epoch, lengths, chunkBytes };
  const layout = new ObjectLayout(bare);
  const bytes = new Uint8Array(layout.size);
  const head = objectHeader(indexId, bare, layout.chunks);
  bytes.set(head);
  core.withScratch((s) => {
    const aad = s.put(head);
    const most = Math.min(PAGE, layout.chunks);
    const nonces = s.take(most * NONCE);
    // A page, and the chunks behind it.
    const out = s.take(most * (HASH + OVERHEAD + Math.max(0, ...chunkBytes)));
    const digest = s.take(HASH);
    layout.sections.forEach(({ length, chunkBytes: size, chunks }, section) => {
      const pointer = sections[section]?.pointer ?? 0;
      for (const run of layout.runs(section, 0, chunks)) {
        const { first, count, page, pageAt, pageBytes } = run;
        core.write(nonces, drawBytes(count * NONCE));
        core.check(core.exports.sv_seal_chunks(
          key, aad, HEADER, section, length, size, first, count, nonces, pointer + first * size,
          out + pageBytes, out,
        ), 'seal');
        const end = pageAt + pageBytes + run.bytes;
        core.bytes(out, end - pageAt, bytes.subarray(pageAt, end));
        core.exports.sv_hash(out, pageBytes, digest);
        bytes.set(core.bytes(digest, HASH), HEADER + page * HASH);
      }
    });
  });
  const tableHash = hash(core, bytes.subarray(0, layout.head));
  return { ref: { ...bare, tableHash }, bytes };
}

/**
 * UNSUPPORTED if a nonce of an object came before. Asked where objects are written, and so also of
 * what workers have sealed: none of them knows the nonces of the others.
 */
export function expectFreshNonces(ref: ObjectRef, bytes: Uint8Array): void {
  const layout = new ObjectLayout(ref);
  layout.sections.forEach(({ chunkBytes, chunks }, section) => {
    for (const { at, bytes: length } of layout.runs(section, 0, chunks)) {
      for (let nonce = at; nonce < at + length; nonce += chunkBytes + OVERHEAD) {
        expectFresh(bytes.subarray(nonce, nonce + NONCE));
      }
    }
  });
}
