/** The training worker of a page: a module of its own, started by URL. */
import { scopeEndpoint } from './endpoint.js';
import { serve } from './worker-side.js';

serve(scopeEndpoint());
