// The entry of the profiler, which shows where relay and agent spend their time under one load.
import {loadTypeScript} from './entry.js';

await loadTypeScript('./profile.ts');
