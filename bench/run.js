// The entry of `npm run bench`: refuses a Node that cannot run TypeScript, then loads the measurements.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./main.ts');
