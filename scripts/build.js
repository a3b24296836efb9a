// Compiles src/ to dist/, bundles the commands, and writes oclif.manifest.json and the man page. `npm ci` runs it (prepare), so a checkout is usable at once.
import {execFileSync} from 'node:child_process';
import {readFileSync, rmSync, writeFileSync} from 'node:fs';
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
sortManifest(`${root}/oclif.manifest.json`);
run(`${root}/scripts/man.js`);

/** oclif writes the commands in the order in which the folder lists them, which differs between file systems. */
function sortManifest(path) {
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  const commands = Object.entries(manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(path, JSON.stringify({...manifest, commands: Object.fromEntries(commands)}, undefined, 2));
}
