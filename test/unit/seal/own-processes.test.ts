// Signals for a command behind a process that waits for it and holds signals back.

import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {expect} from 'vitest';
import {sealedProcess} from '../../../src/lib/cluster/sealed-process.js';
import {endFamily} from '../../../src/lib/launch/processes.js';
import {forking, killsCommand} from '../../../src/lib/seal/own-processes.js';
import type {Seal} from '../../../src/lib/seal/seal.js';
import type {Scope} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

/** With timeout the signal comes more than once: timeout sends it to its group as well. */
const SCRIPT =
  'trap "trap \\"\\" TERM; echo bye; exit 7" TERM; echo up; for i in $(seq 2000); do sleep 0.01; done';
const COMMANDS = [
  ['in the group of the one that waits', ['sh', '-c', SCRIPT]],
  // It makes a process group of its own, and passes the signal on.
  ['in a group of its own', ['timeout', '60', 'sh', '-c', SCRIPT]],
  ['in a session of its own', ['setsid', 'sh', '-c', SCRIPT]],
] as const;

/** As a seal starts them, without its namespaces. */
function start(scope: Scope, argv: readonly string[]): ChildProcess {
  const [program = '', ...words] = [...forking(), ...argv];
  const child = spawn(program, words, {stdio: ['ignore', 'pipe', 'pipe'], detached: true});
  killsCommand(child);
  scope.onEnd(() => void child.kill('SIGKILL'));
  return child;
}

test.for(COMMANDS)('a command of a cluster, %s, hears that it has to end', async ([, argv], {scope}) => {
  const spawned = (words: readonly string[]) => start(scope, words);
  const seal = {spawn: spawned} as unknown as Seal;
  const process = sealedProcess(seal, {argv, env: {}, cwd: '/'});
  let said = '';
  process.stdout.on('data', (piece) => (said += piece));
  await once(process.stdout, 'data');
  process.kill('SIGTERM');
  await once(process.stdout, 'end');
  expect(await process.exited).toMatchObject({signal: null});
  expect(said).toBe('up\nbye\n');
});

test.for(COMMANDS)('a command behind a tunnel, %s, hears that it has to end', async ([, argv], {scope}) => {
  const child = start(scope, argv);
  let said = '';
  child.stdout?.on('data', (piece) => (said += piece));
  await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  const drained = once(child.stdout as NonNullable<typeof child.stdout>, 'end');
  await endFamily({group: child.pid ?? 0, mark: 'none', waits: true}, 5_000);
  await drained;
  expect(said).toBe('up\nbye\n');
  expect(child.signalCode).toBe(null);
});
