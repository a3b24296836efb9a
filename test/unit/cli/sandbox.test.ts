// What the commands for sandboxes decide by themselves.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {describe, expect} from 'vitest';
import {copyOf} from '../../../src/lib/cli/sandbox/copy-path.js';
import {withDashes} from '../../../src/lib/cli/sandbox/dashes.js';
import {environment} from '../../../src/lib/cli/sandbox/env.js';
import {exitCodeAfter, exitCodeOf} from '../../../src/lib/cli/sandbox/exit-code.js';
import {mountOf} from '../../../src/lib/cli/sandbox/mounts.js';
import {TextEvents} from '../../../src/lib/cli/sandbox/text-events.js';
import {test} from '../../helpers/test.js';

describe('the words of exec', () => {
  const flags = {
    tty: {type: 'boolean', char: 't'},
    interactive: {type: 'boolean', char: 'i'},
    env: {type: 'option'},
  } as const;

  test.for([
    ['box ls -l', 'box -- ls -l'],
    ['-it box bash', '-it box -- bash'],
    ['--env A=b box env', '--env A=b box -- env'],
    ['--env=A=b box env -i', '--env=A=b box -- env -i'],
    ['--log-level debug box true', '--log-level debug box -- true'],
    ['box -- ls -- x', 'box -- ls -- x'],
    ['-it box -- bash', '-it box -- bash'],
    ['box --json -- ls', 'box --json -- ls'],
    ['box sh -c ls', 'box -- sh -c ls'],
    ['box ls --help', 'box -- ls --help'],
    ['box --help', 'box --help'],
    ['box --json ls', 'box --json ls'],
    ['box', 'box'],
    ['-- ls', '-- ls'],
    ['', ''],
  ])('%j → %j', ([from = '', to = '']) => {
    expect(withDashes(from.split(' '), flags).join(' ')).toBe(to);
  });
});

describe('the environment', () => {
  test('flags win over files, later ones over earlier ones', async ({scope}) => {
    const file = join(await scope.tempDir('env'), 'x.env');
    await writeFile(file, '# no\n\nA=file\r\nB=x=y\n  C=\nOWN\nMISSING\n');
    const own = {OWN: 'mine', ALSO: 'too'};
    expect(await environment(['A=1', 'A=2', 'ALSO', 'MISSING'], [file], own)).toEqual({
      ...{A: '2', B: 'x=y', C: '', OWN: 'mine', ALSO: 'too'},
    });
  });

  test.for(['=x', 'a b=c', '', 'A\0=b'])('%j is refused without its value', async (text) => {
    const secret = `${text}secret`;
    const error = await environment([text === '' ? '' : secret], [], {}).then(
      () => undefined,
      (caught: Error) => caught,
    );
    expect(error).toMatchObject({code: 'OPTION_INVALID'});
    expect(error?.message).not.toContain('secret');
  });
});

test.for([
  ['/tmp:/x', {source: '/tmp', target: '/x', readOnly: false}],
  ['/tmp:/x/../y:ro', {source: '/tmp', target: '/y', readOnly: true}],
  ['/tmp:/x:rw', {source: '/tmp', target: '/x', readOnly: false}],
] as const)('--mount %s', async ([text, mount]) => {
  expect(await mountOf(text)).toEqual(mount);
});

test.for(['/tmp', '/tmp:x', ':/x', '/tmp:/x:no', '/tmp:/x:ro:ro'])('--mount %s is refused', async (text) => {
  await expect(mountOf(text)).rejects.toMatchObject({code: 'OPTION_INVALID'});
});

test('the paths of cp', () => {
  expect(copyOf('a', 'box:/b')).toEqual({sandbox: 'box', into: true, local: 'a', inside: '/b'});
  expect(copyOf('box:b:c', './x:y')).toEqual({sandbox: 'box', into: false, local: './x:y', inside: 'b:c'});
  expect(copyOf('-', 'box:/b').local).toBe('-');
  for (const [from, to] of [
    ['a', 'b'],
    ['x:a', 'y:b'],
    ['a', 'box:'],
    ['a', ':/b'],
  ] as const)
    expect(() => copyOf(from, to)).toThrow(expect.objectContaining({code: 'USAGE'}));
});

test('exit codes', () => {
  expect(exitCodeOf({code: 7})).toBe(7);
  expect(exitCodeOf({signal: 'SIGKILL'})).toBe(137);
  expect(exitCodeOf({signal: 'SIGKILL', timedOut: true})).toBe(124);
  const after = (['exited', 'terminated', 'timeout', 'oom', 'idle', 'failed', 'lost'] as const).map(
    (reason) => exitCodeAfter({reason, code: 3}),
  );
  expect(after).toEqual([3, 3, 124, 137, 0, 5, 5]);
  expect(exitCodeAfter({reason: 'terminated'})).toBe(0);
});

test('characters that are cut stay whole', () => {
  const seen: string[] = [];
  const texts = new TextEvents((from, text) => seen.push(`${from}:${text}`));
  const euro = Buffer.from('€');
  texts.write('stdout', euro.subarray(0, 1));
  texts.write('stderr', Buffer.from('x'));
  texts.write('stdout', euro.subarray(1));
  texts.write('stdout', euro.subarray(0, 2));
  texts.end('stdout');
  texts.end('stderr');
  expect(seen).toEqual(['stderr:x', 'stdout:€', 'stdout:�']);
});
