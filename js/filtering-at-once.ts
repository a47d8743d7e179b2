/** As filtering.ts, for where the library is one file. */
import * as filteringPart from './filter-rows.js';
import type * as Filtering from './filtering.js';

export const filtering: typeof Filtering.filtering = async () => filteringPart;
