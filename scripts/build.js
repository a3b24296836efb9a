// Compiles src/ to dist/, bundles the commands, and writes oclif.manifest.json and the man page. `npm ci` runs it (prepare), so a checkout is usable at once.
import {execFileSync} from 'node:child_process';
import {rmSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = (file, ...args) =>
  execFileSync(process.execPath, [file, ...args], {cwd: root, stdio: ['ignore', 'ignore', 'inherit']});

rmSync(`${root}/dist`, {recursive: true, force: true});
try {
  execFileSync(process.execPath, [`${root}/node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
} catch {
  process.exit(1);
}
run(`${root}/scripts/bundle.js`);
run(`${root}/node_modules/oclif/bin/run.js`, 'manifest');
run(`${root}/scripts/man.js`);
