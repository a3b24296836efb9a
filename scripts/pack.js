// The package.json that is packed: npm calls this file as `prepack` and `postpack`.
//
// Scripts and development dependencies are for a checkout. A packed `prepare` makes `npm install --global` warn that the
// package wants to run a script, although npm never runs it there.
import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync, renameSync, writeFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const file = `${root}package.json`;
const kept = `${root}node_modules/.package.json`;
const FOR_A_CHECKOUT = ['scripts', 'devDependencies', 'allowScripts'];

const steps = {
  before() {
    // A pack that was interrupted has left the short file.
    if (existsSync(kept)) renameSync(kept, file);
    execFileSync(process.execPath, [`${root}scripts/build.js`], {stdio: 'inherit'});
    const text = readFileSync(file, 'utf8');
    writeFileSync(kept, text);
    const packed = Object.entries(JSON.parse(text)).filter(([name]) => !FOR_A_CHECKOUT.includes(name));
    writeFileSync(file, `${JSON.stringify(Object.fromEntries(packed), null, 2)}\n`);
  },
  after() {
    renameSync(kept, file);
  },
};

steps[process.argv[2]]();
