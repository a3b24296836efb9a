// Many visitors who request much and read nothing, at a relay with little memory: they are cut off, a reader is not.

import {once} from 'node:events';
import {expect} from 'vitest';
import {forward, startRelay} from '../../src/index.js';
import {MiB} from '../helpers/bytes.js';
import {test} from '../helpers/test.js';
import {pouringUpstream} from '../helpers/upstreams.js';
import {tcpVisitor} from '../helpers/visitors.js';

test('visitors who do not read are cut off before they fill the relay’s memory', async ({scope}) => {
  const stateDir = await scope.tempDir('state');
  const warnings: string[] = [];
  const relay = scope.own(
    await startRelay({
      domain: 'r1.localhost',
      token: '',
      tcpPorts: [0, 0],
      stateDir,
      maxUnreadBytes: 4 * MiB,
      log: ({level, message}) => {
        if (level === 'warn') warnings.push(message);
      },
    }),
  );
  const port = await pouringUpstream(scope, 4096 * MiB);
  const tunnel = scope.own(
    await forward(port, {relay: relay.url, caFile: relay.caFile ?? '', stateDir, unencrypted: true}),
  );
  const [host, tcpPort] = tunnel.tcpSocket;

  const reader = await tcpVisitor(scope, tcpPort, host);
  let read = 0;
  let readerGone = false;
  reader.on('data', (chunk: Buffer) => {
    read += chunk.length;
    reader.emit('more');
  });
  reader.on('close', () => {
    readerGone = true;
  });

  const idle = await Promise.all(
    Array.from({length: 60}, async () => {
      const visitor = await tcpVisitor(scope, tcpPort, host);
      visitor.on('error', () => {});
      visitor.pause();
      return visitor;
    }),
  );
  const told = () =>
    warnings.includes('connections that did not read were cut off: too many bytes were unread');
  while (!told()) await once(reader, 'more');
  expect(relay.stats().visitors).toBeLessThan(61);
  // A visitor notices that it was cut off when it reads.
  const ends = idle.map((visitor) => new Promise<void>((resolve) => visitor.once('close', () => resolve())));
  for (const visitor of idle) visitor.resume();
  await Promise.race(ends);

  const before = read;
  while (read < before + 8 * MiB) await once(reader, 'more');
  expect(readerGone).toBe(false);
});
