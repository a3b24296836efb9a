// The entry of `npm run bench:chart`.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./chart.ts');
