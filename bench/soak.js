// The entry of `npm run bench:soak`.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./soak.ts');
