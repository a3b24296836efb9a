// The entry of `npm run bench:faults`: refuses a Node that cannot run TypeScript, then loads the measurement.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./faults/main.ts');
