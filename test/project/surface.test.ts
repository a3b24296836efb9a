// The commands, their flags and their help, which users and scripts rely on. A change here must be on purpose.

import {readFileSync} from 'node:fs';
import {describe, expect, test} from 'vitest';
import {runCli} from './run-cli.js';
import {ROOT} from './source-files.js';

interface Flag {
  type: 'boolean' | 'option';
  char?: string;
  env?: string;
  hidden?: boolean;
}

interface Manifest {
  commands: Record<string, {args: Record<string, {required?: boolean}>; flags: Record<string, Flag>}>;
}

const {commands}: Manifest = JSON.parse(readFileSync(`${ROOT}/oclif.manifest.json`, 'utf8'));
const names = Object.keys(commands).sort();

/** The lines of a help. A relay is set up once, by an operator who looks for a flag; all other commands are read as a whole. */
const MOST_LINES: Readonly<Record<string, number>> = {'relay:start': 110, expose: 77, 'sandbox:run': 70};
const mostLines = (name: string) => MOST_LINES[name] ?? 60;

test('the commands and their flags', async () => {
  const surface = names.map((name) => {
    const {args, flags} = commands[name] ?? {args: {}, flags: {}};
    const shownArgs = Object.entries(args).map(([arg, {required}]) =>
      required ? arg.toUpperCase() : `[${arg.toUpperCase()}]`,
    );
    const shownFlags = Object.entries(flags)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([flag, {type, char, env}]) => {
        const short = char ? `-${char}, ` : '';
        return `  ${short}--${flag}${type === 'option' ? '=' : ''}${env ? ` (${env})` : ''}`;
      });
    return [`${name.replaceAll(':', ' ')} ${shownArgs.join(' ')}`.trim(), ...shownFlags, ''].join('\n');
  });
  await expect(surface.join('\n')).toMatchFileSnapshot('surface/commands.txt');
});

test('no flag takes a secret, and none is called -p', () => {
  for (const {flags} of Object.values(commands)) {
    const taking = Object.entries(flags).filter(([, {type}]) => type === 'option');
    // `tunl ssh --key` takes the path of a public key, `--upstream-key` that of a private key file.
    const secret = taking.map(([name]) => name).filter((name) => /(token|password|secret|key)$/.test(name));
    expect(secret.filter((name) => !['key', 'upstream-key'].includes(name))).toEqual([]);
    expect(Object.values(flags).map(({char}) => char)).not.toContain('p');
  }
});

describe.concurrent.each(['', ...names])('help of tunl %s', (name) => {
  test('is unchanged, and fits on a screen', async ({expect}) => {
    const words = name.split(':').filter(Boolean);
    const {stdout, stderr, exitCode} = await runCli([...words, '--help'], {env: {OCLIF_COLUMNS: '80'}});
    expect({stderr, exitCode}).toEqual({stderr: '', exitCode: 0});
    const lines = stdout.split('\n');
    expect(lines.length).toBeLessThanOrEqual(mostLines(name));
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    const withoutVersion = stdout.replace(/^ {2}tunl\/.*$/m, '  tunl/VERSION');
    await expect(withoutVersion).toMatchFileSnapshot(`surface/${['tunl', ...words].join('-')}.txt`);
  });
});

test.each([['help'], ['-h'], ['--help'], []])('tunl %s shows the commands', async (...words) => {
  const {stdout, exitCode} = await runCli(words);
  expect(stdout).toContain('expose');
  expect(exitCode).toBe(0);
});

test('tunl help COMMAND is tunl COMMAND --help', async () => {
  const [one, other] = await Promise.all([
    runCli(['help', 'relay', 'start']),
    runCli(['relay', 'start', '-h']),
  ]);
  expect(one).toEqual(other);
});
