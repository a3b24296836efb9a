import {CLIError, ExitError} from '@oclif/core/errors';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import {asEvent, report} from '../../../src/lib/cli/failure.js';
import {ERRORS, EXIT, TunlError} from '../../../src/lib/core/errors.js';

const PLAIN = {json: false, quiet: false, debug: false};
let out = '';
let err = '';

beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

describe('report', () => {
  test('has the message, the next step, and the code', () => {
    const error = new TunlError('RELAY_REFUSED', {reason: 'Nothing listens on r1.example.net port 443.'});
    expect(report(error, PLAIN, [])).toBe(EXIT.relayUnreachable);
    expect(err).toBe(
      'error: Nothing listens on r1.example.net port 443.\nnext: Check that the relay runs and that the port is right.\ncode: RELAY_REFUSED\n',
    );
    expect(out).toBe('');
  });

  test('names flags where the library names none, and keeps the next step of the error', () => {
    report(new TunlError('TOKEN_MISSING'), PLAIN, []);
    expect(err).toContain('next: Log in with `tunl login URL`, or set TUNL_TOKEN or pass --token-file.\n');
    report(new TunlError('TOKEN_MISSING', {next: 'Ask Ana.'}), PLAIN, []);
    expect(err).toContain('next: Ask Ana.\n');
  });

  test('leaves out an empty next step', () => {
    report(new TunlError('CLOSED'), PLAIN, []);
    expect(err).toBe('error: The tunnel or the relay is closed already.\ncode: CLOSED\n');
  });

  test('with --json is one line on stdout and nothing on stderr', () => {
    expect(report(new TunlError('NAME_TAKEN'), {...PLAIN, json: true}, [])).toBe(EXIT.unavailable);
    expect(err).toBe('');
    expect(out.split('\n')).toHaveLength(2);
    expect(JSON.parse(out)).toEqual({
      type: 'error',
      code: 'NAME_TAKEN',
      message: ERRORS.NAME_TAKEN.sentence,
      next: 'Choose another --subdomain.',
      exitCode: EXIT.unavailable,
    });
  });

  test.each(Object.entries(ERRORS))('%s has its exit code with and without --json', (code, {exitCode}) => {
    const error = new TunlError(code as keyof typeof ERRORS);
    expect(report(error, PLAIN, [])).toBe(exitCode);
    expect(report(error, {...PLAIN, json: true}, [])).toBe(exitCode);
  });

  test('an unexpected error has a stack only at --log-level debug', () => {
    const error = new Error('socket hang up', {cause: new Error('deeper')});
    expect(report(error, PLAIN, [])).toBe(EXIT.unexpected);
    expect(err).toContain('error: socket hang up\n');
    expect(err).not.toContain('    at ');
    report(error, {...PLAIN, debug: true}, []);
    expect(err).toContain('    at ');
    expect(err).toContain('caused by Error: deeper');
  });

  test('neither message nor stack contains possible secrets', () => {
    const secret = 'Zm9vYmFyYmF6cXV4MTIz';
    report(new Error(`bad ${secret}`), {...PLAIN, debug: true}, ['expose', '8000', secret]);
    expect(err).not.toContain(secret);
  });

  test('a peer’s text cannot move the cursor', () => {
    report(new TunlError('BIND_REFUSED', {reason: 'no\u001b[2J\nerror: forged'}), PLAIN, []);
    expect(err.split('\n')[0]).toBe('error: no [2J error: forged');
  });

  test('after an interrupt nothing is printed', () => {
    expect(report(new TunlError('ABORTED'), PLAIN, [])).toBe(EXIT.interrupted);
    expect(err).toBe('');
  });

  test('oclif’s own errors are USAGE, and its exits are no errors', () => {
    expect(report(new CLIError('something with hunter2'), PLAIN, [])).toBe(EXIT.usage);
    expect(err).not.toContain('hunter2');
    expect(report(new ExitError(0), PLAIN, [])).toBe(0);
  });
});

test('a next step leads to the help of the command', () => {
  const error = new TunlError('OPTION_INVALID', {reason: 'x'});
  expect(asEvent(error, [], 'relay start').next).toBe('See `tunl relay start --help`.');
  expect(asEvent(error, []).next).toBe('See `tunl --help`.');
});
