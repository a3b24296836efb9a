// A relay as a whole: what a failed start leaves behind.

import {once} from 'node:events';
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {stat} from 'node:fs/promises';
import {createServer} from 'node:net';
import {join} from 'node:path';
import {expect, test} from 'vitest';
import type {RelayOptions} from '../../../src/lib/relay/options.js';
import {startRelay} from '../../../src/lib/relay/start.js';
import {RawAgent} from '../../helpers/raw-agent.js';
import {Scope, unusedPort} from '../../helpers/scope.js';

const HOST = '127.0.0.1';
const token = 'a-token-of-16-or-more';

test('a relay whose start fails leaves no listener, and the lease table unchanged', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('relay');
  const port = await unusedPort();
  const options: RelayOptions = {
    domain: 'r1.localhost',
    listen: `${HOST}:${port}`,
    tcpPorts: [0, 0],
    token,
    stateDir,
  };
  const first = await startRelay(options);
  const at = {port, domain: first.domain, caFile: first.caFile ?? '', token};
  const {agent} = await RawAgent.begin(scope, at);
  // In use until the end, so the next relay expects its agent back and listens on its port.
  const tcpPort = await agent.bindTcp();
  await first.close();
  const table = join(stateDir, 'relay', first.domain, 'leases.json');
  const before = await stat(table);

  const listenHttp = `${HOST}:${await scope.listen(createServer())}`;
  await expect(startRelay({...options, listenHttp})).rejects.toMatchObject({code: 'LISTEN_IN_USE'});
  for (const free of [port, tcpPort]) {
    const server = createServer().listen(free, HOST);
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  }
  const {ino, mtimeMs} = await stat(table);
  expect([ino, mtimeMs]).toEqual([before.ino, before.mtimeMs]);
});

/** The files that this process has open. */
function openFiles(): string[] {
  const folder = '/proc/self/fd';
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(join(folder, fd))];
    } catch {
      // The one with which the folder was read.
      return [];
    }
  });
}

test('a relay that has closed has written the ends of its sessions to the audit file, and does not keep it open', async () => {
  await using scope = new Scope();
  const stateDir = await scope.tempDir('relay');
  const auditFile = join(stateDir, 'audit.jsonl');
  const relay = await startRelay({
    domain: 'r1.localhost',
    listen: `${HOST}:0`,
    tcpPorts: [0, 0],
    token,
    stateDir,
    auditFile,
  });
  const at = {port: relay.address.port, domain: relay.domain, caFile: relay.caFile ?? '', token};
  const {agent} = await RawAgent.begin(scope, at);
  await agent.bindTcp();
  expect(openFiles()).toContain(auditFile);
  await relay.close();
  const lines = readFileSync(auditFile, 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as {what: string}).what)).toEqual([
    'agent-connected',
    'tunnel-bound',
    'tunnel-released',
    'agent-gone',
  ]);
  expect(openFiles()).not.toContain(auditFile);
});
