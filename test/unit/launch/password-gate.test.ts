// The gate in front of a program that has no password of its own.

import {createServer, request} from 'node:http';
import {join} from 'node:path';
import {expect} from 'vitest';
import {openGate} from '../../../src/lib/launch/password-gate.js';
import {unusedPort} from '../../helpers/scope.js';
import {test} from '../../helpers/test.js';

test('an answer that the program breaks off is broken off for the visitor', async ({scope}) => {
  const socketPath = join(await scope.tempDir('gate'), 'program.sock');
  const program = createServer((_, answer) => {
    answer.writeHead(200, {'content-length': '100'});
    answer.write('ten bytes.', () => answer.destroy());
  });
  await new Promise<void>((resolve) => program.listen(socketPath, resolve));
  scope.onEnd(() => void program.close());
  const port = await unusedPort();
  const gate = await openGate({user: 'tunl', password: 'right', port, socketPath, realm: 'program'});
  scope.onEnd(() => gate.close());
  const broken = await new Promise((resolve, reject) => {
    const visit = request({port, host: '127.0.0.1', auth: 'tunl:right', agent: false}, (answer) => {
      answer.resume();
      answer.once('error', resolve);
      answer.once('end', () => reject(new Error('the answer looked whole')));
    });
    visit.once('error', reject);
    visit.end();
  });
  expect(broken).toMatchObject({code: 'ECONNRESET'});
});
