// The entry of `npm run bench:cores`.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./cores.ts');
