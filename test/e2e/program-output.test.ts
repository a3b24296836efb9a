// The output of `tunl expose -- PROGRAM`: every byte of it, in a terminal and in a pipe, whatever else tunl shows.

import {readFile, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {expect} from 'vitest';
import {run} from '../helpers/child.js';
import {entry} from '../helpers/cli.js';
import {fakeProgram, until} from '../helpers/launching.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {Screen} from '../helpers/tmux.js';

/** Lines in pieces, deep indentation, a traceback, a moving bar, and the bytes of cp1252 that are not UTF-8. */
const PIECES = [
  'Loading',
  ' module a',
  '\n        deeply indented\n',
  'Traceback (most recent call last):\n  File "app.py", line 3, in <module>\n',
  '    raise ValueError(',
  '"no")\nValueError: no\n',
  'step 1\rstep 2\rstep 3\n',
].map((text) => Buffer.from(text));
const CP1252 = Buffer.from('price: 5 \x80, caf\xe9 \x93quoted\x94\n', 'latin1');

/**
 * A program that writes the pieces with pauses in which a spinner would move, then opens its port. After a request it writes
 * the rest and ends.
 */
async function chatterbox(scope: Scope, rest: Buffer): Promise<string> {
  const folder = await scope.tempDir('pieces');
  await writeFile(join(folder, 'rest'), rest);
  const pieces = [...PIECES, CP1252].map((piece) => piece.toString('base64'));
  return await fakeProgram(
    scope,
    `import {readFileSync} from 'node:fs';
const write = (piece) => new Promise((resolve) => process.stdout.write(piece, resolve));
for (const piece of ${JSON.stringify(pieces)}) {
  await write(Buffer.from(piece, 'base64'));
  await new Promise((resolve) => setTimeout(resolve, 120));
}
await listen(Number(argv[0]));
process.stderr.write('listening\\n');
const rest = readFileSync(${JSON.stringify(join(folder, 'rest'))});
for (let at = 0; at < rest.length; at += 50_000) {
  await write(rest.subarray(at, at + 50_000));
  await new Promise((resolve) => setTimeout(resolve, 50));
}
if (argv[1] === 'ends') process.exit(0);`,
  );
}

test('in a terminal: the spinner removes nothing, and the terminal gets the unchanged bytes', async ({
  scope,
}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const program = await chatterbox(scope, Buffer.from('the rest'));
  const screen = await Screen.start(scope, {
    columns: 100,
    rows: 50,
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  const raw = join(stateDir, 'raw');
  await screen.record(raw);
  await screen.run(`node ${entry} expose -- node ${program} {port}`);
  await screen.shows(/^the rest$/);
  await screen.shows(/^Ctrl\+C stops it\.$/);
  await screen.press('C-c');
  await screen.until((lines) => lines.at(-1) === '$');
  const lines = await screen.lines();
  const first = lines.indexOf('Loading module a');
  expect(lines.slice(first, first + 7)).toEqual([
    'Loading module a',
    '        deeply indented',
    'Traceback (most recent call last):',
    '  File "app.py", line 3, in <module>',
    '    raise ValueError("no")',
    'ValueError: no',
    'step 3',
  ]);
  // The kernel's terminal writes CR LF for LF.
  const wanted = Buffer.concat([...PIECES, CP1252])
    .toString('latin1')
    .replaceAll('\n', '\r\n');
  await until(async () => (await readFile(raw, 'latin1')).includes(wanted), 10_000);
});

test('in a pipe: all bytes, including the last ones of a program that ends', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const rest = Buffer.alloc(3_000_000);
  for (let at = 0; at < rest.length; at += 1) rest[at] = (at * 7919) >>> 3;
  const program = await chatterbox(scope, rest);
  const out = join(stateDir, 'out');
  const command = `node ${entry} expose --json -- node ${program} {port} ends 2>&1 >/dev/null | cat >${out}`;
  await run(scope, 'sh', ['-c', command], {env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir}});
  const all = await readFile(out);
  expect(all.equals(Buffer.concat([...PIECES, CP1252, Buffer.from('listening\n'), rest]))).toBe(true);
});

test('a slow reader gets the end of the output as well', async ({scope}) => {
  const relay = await startRelayProcess(scope);
  const stateDir = await scope.tempDir('state');
  const program = await fakeProgram(
    scope,
    `await listen(Number(argv[0]));
process.stdout.write(Buffer.alloc(4_000_000, 'x'), () => process.stdout.write('the end', () => process.exit(0)));`,
  );
  // The reader waits longer than the command runs.
  const command = `node ${entry} expose --json -- node ${program} {port} 2>&1 >/dev/null | (sleep 3; wc -c)`;
  const {stdout} = await run(scope, 'sh', ['-c', command], {
    env: {...relay.env, TUNL_STATE_DIR: stateDir, HOME: stateDir},
  });
  expect(Number(stdout)).toBe(4_000_007);
});
