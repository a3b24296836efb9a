// The entry of `npm run bench:link`: refuses a Node that cannot run TypeScript, then loads the measurement.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./link.ts');
