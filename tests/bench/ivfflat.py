"""FAISS's IVFFlat on one set of vectors: seconds, quantisation error, and recall by rows compared.

Called by faiss.js with one JSON argument; prints one JSON line. Needs Debian's python3-faiss (and
libopenblas0-pthread, or its matrix products are slow).
"""

import gzip
import json
import sys
import time

import faiss
import numpy

K = 10


def load(path):
    """The array of a .npy.gz file as float32."""
    with gzip.open(path) as file:
        return numpy.ascontiguousarray(numpy.load(file), dtype=numpy.float32)


def lloyd_error(rows, n_lists, seed):
    """Mean squared distance to the nearest of the centroids of 25 iterations on all rows."""
    kmeans = faiss.Kmeans(
        rows.shape[1], n_lists, niter=25, seed=seed, max_points_per_centroid=len(rows),
        min_points_per_centroid=1)
    kmeans.train(rows)
    return float(kmeans.index.search(rows, 1)[0].mean())


def tenth_distances(rows, asked):
    """Squared distances of queries to the last of their true neighbours."""
    exact = faiss.IndexFlatL2(rows.shape[1])
    exact.add(rows)
    last = exact.search(asked, K)[1][:, -1]
    difference = rows[last] - asked
    return (difference * difference).sum(axis=1)[:, None]


def main(base, queries, metric, nLists, threads, ladder, seed, lloyd):
    rows, asked = load(base), load(queries)
    faiss.omp_set_num_threads(threads)
    if metric == "cosine":
        faiss.normalize_L2(rows)
        faiss.normalize_L2(asked)
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(rows.shape[1]), rows.shape[1], nLists)
    index.cp.seed = seed
    start = time.perf_counter()
    index.train(rows)
    trained = time.perf_counter()
    index.add(rows)
    added = time.perf_counter()
    sizes = numpy.array([index.invlists.list_size(i) for i in range(nLists)])
    # A row counts when it is no further than the tenth of the truth, so ties cost nobody.
    limits = tenth_distances(rows, asked) * (1 + 1e-5)
    searches = []
    for n_probes in ladder:
        index.nprobe = n_probes
        distances, found = index.search(asked, K)
        hits = (found >= 0) & (distances <= limits)
        probed = index.quantizer.search(asked, n_probes)[1]
        searches.append({
            "nProbes": n_probes,
            "recall": float(hits.mean()),
            "scanned": float(sizes[probed].sum(axis=1).mean()),
        })
    print(json.dumps({
        "version": faiss.__version__,
        "train": trained - start,
        "add": added - trained,
        "error": float(index.quantizer.search(rows, 1)[0].mean()),
        "imbalance": float(sizes.max() * nLists / len(rows)),
        "lloyd": lloyd_error(rows, nLists, seed) if lloyd else None,
        "searches": searches,
    }))


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
