/** The part that finds the rows which a filter allows. */
import { late } from './late.js';

export const filtering = (): Promise<typeof import('./filter-rows.js')> =>
  late(() => import('./filter-rows.js'));
