import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {expect, test} from 'vitest';
import {trustInstructions} from '../../../../src/lib/relay/certificates/install-ca.js';

test.each([
  '/home/me/.local/state/tunl/ca/tunl-ca.pem',
  '/Users/me/Library/Application Support/tunl/ca/tunl-ca.pem',
  "/home/o'neill/$HOME/`x`/tunl-ca.pem",
])('a shell reads the path of %s unchanged', async (path) => {
  const line = trustInstructions(path)
    .split('\n')
    .find((each) => each.includes('--cacert'));
  const word = /--cacert (.*) https:/.exec(line ?? '')?.[1] ?? '';
  const {stdout} = await promisify(execFile)('sh', ['-c', `printf %s ${word}`]);
  expect(stdout).toBe(path);
});

test('a Windows path has quotes that cmd understands', () => {
  const path = 'C:\\Users\\A Name\\AppData\\Local\\tunl\\ca\\tunl-ca.pem';
  expect(trustInstructions(path)).toContain(`-addstore Root "${path}"`);
});
