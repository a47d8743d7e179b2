/** The core in base64, and the training worker's source: `make` writes them here, for dist/. */
export const core: string = '';
export const worker: string = '';
