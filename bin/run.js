#!/usr/bin/env node
// The entry of the `tunl` command: refuses a Node that is too old in one line, answers --version without
// loading the framework, and hands everything else to oclif.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 12)) {
  process.stderr.write(
    `tunl needs Node 22.12 or newer; this is ${process.version} (${process.execPath}).\n` +
      'Next step: put a newer Node first in PATH, or in a checkout run it as `npx tunl …`, which uses the pinned one.\n',
  );
  process.exit(2);
}
const words = process.argv.slice(2);
if (words.length === 1 && (words[0] === '--version' || words[0] === '-v')) {
  const {readFileSync} = await import('node:fs');
  // Without oclif, this file handles it: a reader that is gone is no error, a full disk is STDOUT_FAILED.
  process.stdout.on('error', ({code}) => {
    if (code === 'EPIPE') return;
    process.stderr.write(
      `error: stdout cannot be written (${code}).\n` +
        'next: Make room where it is written to, or send it elsewhere.\ncode: STDOUT_FAILED\n',
    );
    process.exitCode = 8;
  });
  const {version} = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`tunl/${version} ${process.platform}-${process.arch} node-${process.version}\n`);
} else if (words[0] === '__complete') {
  // A shell asks at the TAB key. Whatever goes wrong, it gets no candidates and no error.
  const {useCompileCache} = await import('./compile-cache.js');
  useCompileCache();
  try {
    const {completionLines} = await import('../dist/bundle/complete.js');
    const {fileURLToPath} = await import('node:url');
    const lines = await completionLines(words.slice(1), fileURLToPath(new URL('..', import.meta.url)));
    process.stdout.on('error', () => {});
    // A relay that does not answer must not keep the user waiting.
    process.stdout.write(lines.map((line) => `${line}\n`).join(''), () => process.exit());
  } catch {}
} else {
  const {useCompileCache} = await import('./compile-cache.js');
  useCompileCache();
  // A module of the framework asks for the home folder when it is loaded, and some users of containers have none.
  const {default: os} = await import('node:os');
  try {
    os.homedir();
  } catch {
    os.homedir = () => '';
  }
  const {start} = await import('../dist/bundle/start.js');
  await start(words, import.meta.url);
}
