// Writes the tables of docs/relay-config.md from the table of settings. Run it after a build when a setting has changed.
import {readFileSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const {referencePage} = await import(`${root}dist/lib/cli/config/reference.js`);
const path = `${root}docs/relay-config.md`;
writeFileSync(path, referencePage(readFileSync(path, 'utf8')));
