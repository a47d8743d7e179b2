/** The training worker of Node: a module of its own, started by URL. */
import { parentEndpoint } from './node-endpoint.js';
import { serve } from './worker-side.js';

serve(parentEndpoint());
