/** The exports of sealvec.wasm, in the order of c/sv.h. Pointers and sizes are numbers. */
export interface CoreExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize?(): void;

  sv_error_meaning(code: number): number;
  sv_alloc(size: number): number;
  sv_free(memory: number): void;

  sv_distance(metric: number, x: number, y: number, dim: number): number;
  sv_check_rows(metric: number, rows: number, n: number, dim: number, row: number): number;
  sv_norms(rows: number, n: number, dim: number, norms: number): void;
  sv_route_rows(
    metric: number, rows: number, n: number, dim: number, maxNorm: number, routed: number,
  ): number;
  sv_route_query(
    metric: number, query: number, dim: number, maxNorm: number, routed: number,
    scale: number, offset: number,
  ): number;
  sv_pack_size(k: number, dim: number): number;
  sv_pack(rows: number, k: number, dim: number, packed: number, halfNorms: number): void;
  sv_unpack(packed: number, k: number, dim: number, rows: number): void;
  sv_sieve_size(k: number, dim: number): number;
  sv_sieve_scratch_size(k: number, dim: number): number;
  sv_sieve_pack(rows: number, picks: number, k: number, dim: number, sieve: number): void;
  sv_assign(
    rows: number, n: number, dim: number, sieve: number, k: number, scratch: number,
    lists: number, distances: number,
  ): number;
  sv_neighbors(
    rows: number, lists: number, n: number, firstRow: number, dim: number, sieve: number,
    nQueries: number, skip: number, k: number, bestDistances: number, bestLists: number,
    scratch: number,
  ): number;

  sv_f16_encode(values: number, n: number, halves: number): number;
  sv_f16_decode(halves: number, n: number, values: number): number;
  sv_centroids_encode(centroids: number, k: number, dim: number, out: number): void;
  sv_centroids_decode(bytes: number, k: number, dim: number, centroids: number): void;

  sv_topk_sort(top: number): void;

  sv_kmeans_scratch_size(dim: number, k: number, nGroups: number): number;
  sv_kmeans_start(
    state: number, rows: number, starts: number, warm: number, centroids: number, scratch: number,
  ): number;
  sv_kmeans_step(
    state: number, rows: number, maxRows: number, centroids: number, scratch: number,
  ): number;
  sv_kmeans_finish(state: number, centroids: number, scratch: number): number;
  sv_kmeans_next(state: number, compareAll: number): void;
  sv_kmeans_sums_size(k: number, dim: number): number;
  sv_kmeans_take(state: number, scratch: number, sums: number): void;
  sv_kmeans_add(state: number, scratch: number, sums: number): void;
  sv_add_rows(
    rows: number, lists: number, n: number, dim: number, grain: number, sums: number,
    counts: number,
  ): number;
  sv_sample(n: number, m: number, seed: bigint, picks: number): number;

  sv_rank_scratch_size(k: number): number;
  sv_list_ranking_size(k: number, dim: number): number;
  sv_rank_lists(
    routed: number, dim: number, packed: number, halfNorms: number, k: number,
    order: number, distances: number, scratch: number,
  ): void;
  sv_list_gaps(order: number, distances: number, k: number, gaps: number): void;

  sv_block_rows(dim: number): number;
  sv_codes_size(n: number, dim: number): number;
  sv_codes_origin(
    metric: number, rows: number, n: number, dim: number, origin: number,
  ): void;
  sv_codes_encode(
    metric: number, rows: number, dim: number, starts: number, nLists: number, origin: number,
    out: number,
  ): number;
  sv_probe_size(dim: number): number;
  sv_signs_size(n: number, dim: number): number;
  sv_signs_scratch_size(dim: number): number;

  sv_scan_run(scan: number): number;
  sv_scan_begin(scan: number): number;
  sv_scan_next(scan: number): number;
  sv_scan_ahead(scan: number, most: number, places: number): number;
  sv_scan_candidates(scan: number, most: number, numbers: number): number;
  sv_scan_compare(scan: number, n: number, numbers: number, rows: number): void;

  sv_order_by_list(
    lists: number, n: number, nLists: number, order: number, starts: number,
  ): number;
  sv_rows_gather(
    rows: number, nRows: number, rowBytes: number, picks: number, n: number, out: number,
  ): number;
  sv_blobs_check(section: number, length: number, n: number): number;
  sv_blobs_gather_size(section: number, nRows: number, picks: number, n: number): number;
  sv_blobs_gather(
    section: number, nRows: number, picks: number, n: number, out: number, capacity: number,
  ): number;
  sv_blobs_concat_size(lengths: number, nRows: number, nSections: number): number;
  sv_blobs_concat(
    sections: number, lengths: number, nRows: number, nSections: number, out: number,
    capacity: number,
  ): number;
  sv_ids_sort(hashes: number, n: number, table: number, scratch: number): number;
  sv_ids_check(table: number, length: number, n: number): number;
  sv_ids_find(table: number, n: number, hashes: number, m: number, entries: number): number;

  sv_hash(bytes: number, length: number, out: number): number;
  sv_derive(
    key: number, context: number, contextLength: number, out: number, outLength: number,
  ): number;
  sv_stretch(
    passphrase: number, length: number, salt: number, memoryKib: number, passes: number,
    out: number, outLength: number,
  ): number;
  sv_seal(
    key: number, nonce: number, aad: number, aadLength: number, plain: number, length: number,
    out: number,
  ): number;
  sv_open(
    key: number, aad: number, aadLength: number, sealed: number, length: number, out: number,
  ): number;
  sv_seal_chunks(
    key: number, aad: number, aadLength: number, section: number, sectionLength: number,
    chunkBytes: number, firstChunk: number, n: number, nonces: number, plain: number, out: number,
    hashes: number,
  ): number;
  sv_open_chunks(
    key: number, aad: number, aadLength: number, section: number, sectionLength: number,
    chunkBytes: number, firstChunk: number, n: number, sealed: number, length: number,
    hashes: number, out: number,
  ): number;
  sv_id_hashes(key: number, section: number, n: number, hashes: number): number;
  sv_sign_public(seed: number, publicKey: number): number;
  sv_sign(seed: number, message: number, length: number, signature: number): number;
  sv_verify(publicKey: number, message: number, length: number, signature: number): number;
  sv_equal(x: number, y: number, length: number): number;
  sv_wipe(memory: number, length: number): void;
}
