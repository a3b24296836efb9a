// The ways to write an upstream, and their meanings.

import {resolve} from 'node:path';
import {describe, expect, test} from 'vitest';
import {portOrTarget, readTarget, targetLabel} from '../../../../src/lib/agent/upstreams/target.js';

describe('a target', () => {
  test.each([
    [8000, {kind: 'tcp', host: 'localhost', port: 8000}, 'localhost:8000'],
    ['8000', {kind: 'tcp', host: 'localhost', port: 8000}, 'localhost:8000'],
    ['192.168.1.9:3000', {kind: 'tcp', host: '192.168.1.9', port: 3000}, '192.168.1.9:3000'],
    ['[::1]:80', {kind: 'tcp', host: '::1', port: 80}, '[::1]:80'],
    ['http://localhost:8000/', {kind: 'tcp', host: 'localhost', port: 8000}, 'localhost:8000'],
    ['http://10.0.0.7', {kind: 'tcp', host: '10.0.0.7', port: 80}, '10.0.0.7:80'],
    ['http://[::1]', {kind: 'tcp', host: '::1', port: 80}, '[::1]:80'],
    ['HTTPS://app.internal', {kind: 'tls', host: 'app.internal', port: 443}, 'https://app.internal:443'],
    ['https://[::1]:8443/', {kind: 'tls', host: '::1', port: 8443}, 'https://[::1]:8443'],
    ['unix:/run/app.sock', {kind: 'unix', path: '/run/app.sock'}, 'unix:/run/app.sock'],
    ['unix:///run/app.sock', {kind: 'unix', path: '/run/app.sock'}, 'unix:/run/app.sock'],
    ['unix:app.sock', {kind: 'unix', path: resolve('app.sock')}, `unix:${resolve('app.sock')}`],
    ['./dist', {kind: 'folder', path: resolve('dist')}, `${resolve('dist')}/`],
    ['dist/', {kind: 'folder', path: resolve('dist')}, `${resolve('dist')}/`],
    ['.', {kind: 'folder', path: resolve('.')}, `${resolve('.')}/`],
    ['/', {kind: 'folder', path: '/'}, '/'],
  ])('%s', (text, target, label) => {
    expect(readTarget(text)).toEqual(target);
    expect(targetLabel(readTarget(text))).toBe(label);
    // A label can be read again with the same result.
    expect(readTarget(label)).toEqual(target);
  });

  test.each([
    ['dist', 'PORT_INVALID'],
    ['', 'TARGET_INVALID'],
    ['unix:', 'TARGET_INVALID'],
    [`unix:/${'a'.repeat(200)}`, 'SOCKET_INVALID'],
    ['https://', 'TARGET_INVALID'],
    ['https://localhost:8443/path', 'TARGET_INVALID'],
    ['https://localhost:8443/?a', 'TARGET_INVALID'],
    ['https://localhost:8443#a', 'TARGET_INVALID'],
    ['https:localhost', 'TARGET_INVALID'],
    ['http://user:pass@localhost', 'TARGET_INVALID'],
    ['https://localhost:0', 'PORT_RANGE'],
    ['https://localhost:', 'PORT_INVALID'],
    ['https://a b', 'TARGET_INVALID'],
  ])('%j is refused: %s', (text, code) => {
    expect(() => readTarget(text)).toThrow(expect.objectContaining({code}));
  });

  test('a password in a URL is not repeated', () => {
    expect(() => readTarget('https://me:hunter2@localhost')).toThrow(
      expect.objectContaining({message: expect.not.stringContaining('hunter2')}),
    );
  });

  test('the error for a path says what to write', () => {
    expect(() => readTarget('https://localhost:8443/app?x=1')).toThrow(
      expect.objectContaining({
        next: 'Write https://localhost:8443, and add the path to the public address.',
      }),
    );
  });

  test('the error for a bare word says how to write a folder', () => {
    expect(() => readTarget('dist')).toThrow(
      expect.objectContaining({next: expect.stringContaining('./dist')}),
    );
  });

  test('a bare port of a command line becomes a number', () => {
    expect(portOrTarget(' 8000 ', 'nas')).toBe(8000);
    expect(portOrTarget('nas:8000')).toBe('nas:8000');
    expect(portOrTarget('./dist')).toBe('./dist');
  });
});
