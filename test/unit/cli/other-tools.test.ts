// Each line: what somebody types who knows another tool, and what tunl answers.

import {describe, expect, test} from 'vitest';
import {commandAdvice, flagAdvice, withCommand} from '../../../src/lib/cli/other-tools.js';
import {runCli} from '../../project/run-cli.js';

describe('a command of another tool', () => {
  test.each([
    ['http 3000', '`tunl expose 3000`'],
    ['http', '`tunl expose 8000`'],
    ['http localhost', '`tunl expose 8000`'],
    ['https 3000', '`tunl expose 3000`'],
    ['tcp 22', '`tunl expose 22 --tcp`'],
    ['tls 443', '`tunl expose 443`'],
    ['udp 53', 'carries TCP only'],
    ['tunnel --url http://localhost:3000', '`tunl expose 3000`'],
    ['local 3000 --to r.example', '`tunl expose 3000`'],
    ['funnel 3000', '`tunl expose 3000`'],
    ['serve 3000', '`tunl expose 3000`'],
    ['run npm start', '`tunl expose -- npm run dev`'],
    ['-- npm start', '`tunl expose -- npm run dev`'],
    ['ls', '`tunl list`'],
    ['ps', '`tunl list`'],
    ['status', '`tunl list`'],
    ['rm k3f9a2', '`tunl stop ID`'],
    ['kill k3f9a2', '`tunl stop ID`'],
    ['tail', '`tunl logs ID`'],
    ['server', '`tunl relay start`'],
    ['start 3000', '`tunl expose 3000`'],
    ['relay run', '`tunl relay start`'],
    ['relay serve --port 1', '`tunl relay start`'],
    ['relay stop', '`tunl stop ID`'],
    ['auth', '`tunl login URL`'],
    ['authtoken hunter2', 'TUNL_TOKEN'],
    ['notebook', '`tunl jupyter`'],
    ['vscode', '`tunl code-server`'],
    ['shell', '`tunl terminal`'],
    ['version', '`tunl --version`'],
  ])('%s', (typed, expected) => {
    const advice = commandAdvice(typed.split(' '));
    expect(advice).toContain(expected);
    expect(advice).not.toContain('hunter2');
  });

  test('is not in the table', () => {
    expect(commandAdvice(['frobnicate', '8000'])).toBeUndefined();
  });
});

describe('a flag of another tool', () => {
  const flags = ['tcp', 'relay', 'token-file', 'subdomain', 'detach', 'expires', 'remote-port', 'local-host'];
  const visitors = ['private', 'basic-auth', 'oidc'];
  const expose = {name: 'expose', flags: [...flags, ...visitors, 'log-level', 'json', 'open', 'ca-file']};

  test.each([
    ['--to', '--relay URL'],
    ['--server', '--relay URL'],
    ['--http', 'no flag'],
    ['--https', 'no flag'],
    ['--url', 'stands alone'],
    ['-p', '`tunl expose 8000`'],
    ['-d', '--detach'],
    ['--bg', '--detach'],
    ['--background', '--detach'],
    ['--ttl', '--expires'],
    ['--timeout', '--expires'],
    ['--name', '--subdomain'],
    ['-s', '--subdomain'],
    ['--host', '--local-host'],
    ['--authtoken', '--token-file'],
    ['--auth', '--basic-auth USER'],
    ['--password', '--private'],
    ['--oauth', '--oidc ISSUER'],
    ['--host-header', 'changes no header'],
    ['-k', '--ca-file'],
    ['--debug', '--log-level debug'],
    ['--output', '--json'],
  ])('%s', (flag, expected) => {
    expect(flagAdvice(flag, expose)).toContain(expected);
  });

  test('gets the advice that fits the command', () => {
    const relay = {name: 'relay start', flags: ['listen', 'domain', 'token-file', 'detach', 'log-level']};
    expect(flagAdvice('--port', relay)).toContain('--listen');
    expect(flagAdvice('--host', relay)).toContain('--listen');
    expect(flagAdvice('--bg', relay)).toContain('--detach');
    expect(flagAdvice('--ttl', relay)).toBeUndefined();
    expect(flagAdvice('--url', relay)).toBeUndefined();
    expect(flagAdvice('-d', {name: 'list', flags: ['all']})).toBeUndefined();
  });
});

describe('a target without a command', () => {
  test.each(['8000', ':8000', '5432:tcp', 'localhost:8000', '[::1]:8000', '10.0.0.1:80:tcp'])(
    '%s',
    (word) => {
      expect(withCommand([word, '--tcp'])).toEqual(['expose', word, '--tcp']);
    },
  );

  test.each([
    'http://localhost:8000',
    'https://h:1',
    'unix:/run/a',
    './dist',
    '../x',
    '/srv',
    '.',
    'api=8000',
  ])('%s', (word) => {
    expect(withCommand([word])).toEqual(['expose', word]);
  });

  test.each([
    [[]],
    [['expsoe']],
    [['list']],
    [['relay', 'start']],
    [['-p', '8000']],
    [['--', '8000']],
    [['a=b']],
  ])('not %j', (words) => {
    expect(withCommand(words)).toBe(words);
  });
});

test.each([
  [['99999'], 'PORT_RANGE', 'Give a port'],
  [['http', '8000'], 'USAGE', '`tunl expose 8000`'],
])('at the command line: %j', async (words, code, next) => {
  const {stderr, exitCode} = await runCli(words);
  expect(exitCode).toBe(2);
  expect(stderr).toContain(`code: ${code}`);
  expect(stderr).toContain(next);
});
