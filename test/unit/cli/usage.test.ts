// Through oclif's real parser: its own errors may change with its version.

import {string} from '@oclif/core/args';
import {CLIError} from '@oclif/core/errors';
import {parse} from '@oclif/core/parser';
import {describe, expect, test} from 'vitest';
import {asEvent} from '../../../src/lib/cli/failure.js';
import {outputFlags} from '../../../src/lib/cli/flags.js';
import {exposeFlags} from '../../../src/lib/cli/tunnel-flags.js';
import {unknownCommand, usageError, valueForSwitch} from '../../../src/lib/cli/usage.js';
import {TunlError} from '../../../src/lib/core/errors.js';

const flags = {...exposeFlags, ...outputFlags};
const declared = {
  name: 'expose',
  flags: Object.keys(flags),
  switches: ['tcp', 'json'],
  args: ['TARGET'],
  passesWords: true,
};

async function failure(...words: string[]) {
  const args = {target: string({required: true, ignoreStdin: true})};
  const error = await parse(words, {flags, args, strict: true}).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return asEvent(usageError(error, declared) ?? error, words);
}

test('an error of the command itself is no parse error, whatever its cause', () => {
  const error = new TunlError('RELAY_LOST', {reason: 'gave up', cause: new TunlError('RELAY_REFUSED')});
  expect(usageError(error, declared)).toBeUndefined();
});

describe('a command line that cannot be parsed', () => {
  test.each([
    [['8000', '--tpc'], 'has no flag --tpc', 'Did you mean --tcp?'],
    [['8000', '--frobnicate'], 'has no flag --frobnicate', 'See `tunl expose --help`'],
    [['8000', '--token', 'abc'], 'has no flag --token', 'TUNL_TOKEN'],
    [['8000', '--tokn', 'abc'], 'has no flag --tokn', 'TUNL_TOKEN'],
    [['8000', '--sub'], 'has no flag --sub', 'Did you mean --subdomain?'],
    [['-p', '8000'], 'has no flag -p', 'The local port stands alone'],
    [[], 'needs TARGET', 'See `tunl expose --help`'],
    [['8000', '9000'], 'takes only TARGET; 1 more is given', 'See'],
    [['8000', '--subdomain'], '--subdomain needs a value', 'See'],
    [['8000', '--relay', 'https://a', '--relay', 'https://b'], '--relay is given twice', 'See'],
  ])('%j', async (words, message, next) => {
    const event = await failure(...words);
    expect(event).toMatchObject({type: 'error', code: 'USAGE', exitCode: 2});
    expect(event.message).toContain(message);
    expect(event.next).toContain(next);
  });

  test.each([
    [['8000', '--expires', '0s'], 'OPTION_INVALID', '--expires: 0s is not possible.'],
    [['8000', '--expires', '999999999d'], 'OPTION_INVALID', '--expires: 999999999d is not possible.'],
    [['8000', '--remote-port', '0'], 'PORT_RANGE', '--remote-port: The port 0 is outside 1–65535.'],
    [['8000', '--local-host', 'a b'], 'TARGET_INVALID', '--local-host: "a b" is not a host.'],
    [['8000', '--local-host', '10.0.0.1:80'], 'TARGET_INVALID', '--local-host: "10.0.0.1:80" is not a host.'],
    [['8000', '--drain-timeout', '5'], 'OPTION_INVALID', '--drain-timeout: "5" is not a duration.'],
    [['8000', '--remote-port', 'ssh'], 'PORT_INVALID', '--remote-port: The port is not a whole number.'],
    [['8000', '--log-level', 'loud'], 'OPTION_INVALID', '--log-level: There is no such log level.'],
  ])('%j has the code of its value', async (words, code, message) => {
    expect(await failure(...words)).toMatchObject({code, message, exitCode: 2});
  });

  test.each([
    [['8000', '--token=hunter2']],
    [['8000', '-Thunter2']],
    [['8000', '--token', 'hunter2']],
    [['8000', 'hunter2']],
    [['8000', '--hunter2=hunter2', 'hunter2']],
    [['hunter2-hunter2-hunter2', '--tpc']],
  ])('%j does not repeat the secret', async (words) => {
    const {message, next} = await failure(...words);
    expect(`${message} ${next}`.replace('no flag --hunter2.', '')).not.toContain('hunter2');
  });
});

test.each([
  ['ssh', ['key', 'remote-port'], '-p', 'See `tunl ssh --help`.'],
  ['ssh', ['key', 'remote-port'], '-i', 'Who may log in is told by --key'],
  ['stop', ['all'], '--token', 'See `tunl stop --help`.'],
  ['stop', ['all', 'log-level'], '--verbose', 'Diagnostics: --log-level debug.'],
  ['stop', ['all'], '--version', 'The version: `tunl --version`.'],
])('a flag name of another tool gets advice if the command has it: %s %j %s', (name, has, flag, next) => {
  const error = Object.assign(new CLIError('Nonexistent flag'), {flags: [flag]});
  const here = {name, flags: has, switches: [], args: [], passesWords: false};
  expect(usageError(error, here)?.next).toContain(next);
});

test('a switch with a value, up to the words of another program', () => {
  const odd = (...words: string[]) => valueForSwitch(words, declared)?.message;
  expect(odd('8000', '--tcp=yes')).toBe('--tcp takes no value.');
  expect(odd('8000', '--no-tcp=1')).toBe('--tcp takes no value.');
  expect(odd('8000', '--subdomain=demo', '--', 'x', '--tcp=yes')).toBeUndefined();
});

test('words of a program without `--` before them', async () => {
  const event = await failure('npm', 'run', 'dev');
  expect(event.message).toBe('`tunl expose` takes only TARGET; 2 more are given.');
  expect(event.next).toContain('`tunl expose -- …`');
});

describe('a command that does not exist', () => {
  const known = ['expose', 'relay', 'relay start', 'relay ca'];

  test.each([
    ['expsoe', 'Did you mean `tunl expose`?'],
    ['expsoe:8000', 'Did you mean `tunl expose`?'],
    ['relay:strt', 'Did you mean `tunl relay start`?'],
    ['relay:frobnicate', 'Its commands: `tunl relay --help`.'],
    ['relay:rn', 'Its commands: `tunl relay --help`.'],
  ])('%s', (id, next) => {
    expect(unknownCommand(id, known).next).toContain(next);
  });

  test('is not repeated when no command is similar', () => {
    const error = unknownCommand('hunter2', known);
    expect(`${error.message} ${error.next}`).not.toContain('hunter2');
    expect(error.exitCode).toBe(2);
  });

  test('a flag among the right ones', () => {
    expect(unknownCommand('--json', known).message).toBe('The command comes first, then its flags.');
  });
});

test('an error of the program is no usage error', () => {
  expect(usageError(new TypeError('x is not a function'), declared)).toBeUndefined();
});

test.each(['tcsh', 'x to be one of: secret', ''])(
  'a word that has a few values: %j is not repeated',
  async (word) => {
    const args = {shell: string({required: true, ignoreStdin: true, options: ['bash', 'zsh']})};
    const error = await parse([word], {args, strict: true}).catch((thrown: unknown) => thrown);
    const known = usageError(error, {...declared, name: 'completion', args: ['SHELL']});
    expect(known).toMatchObject({code: 'USAGE', message: 'SHELL is one of: bash, zsh.'});
  },
);
