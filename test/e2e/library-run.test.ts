// `run` of the library: commands as members of a private network, and behind an egress.

import {open, readFile} from 'node:fs/promises';
import {createServer} from 'node:http';
import {expect} from 'vitest';
import {egress, type MemberStart, network, startRelay} from '../../src/index.js';
import {type Scope, unusedPort} from '../helpers/scope.js';
import {test} from '../helpers/test.js';

const token = 'a-token-of-16-or-more';

async function setUp(scope: Scope) {
  const stateDir = await scope.tempDir('library-run');
  const relay = await startRelay({
    ...{domain: 'r1.localhost', token, stateDir, log: () => {}},
    ...{egress: ['fixed=127.0.0.2'], egressAllowPrivate: ['127.0.0.0/8']},
  });
  scope.onEnd(() => relay.close());
  const port = await scope.listen(
    createServer((request, response) => response.end(`hello ${request.socket.remoteAddress}`)),
  );
  const path = `${stateDir}/output`;
  const file = await open(path, 'w');
  scope.onEnd(() => file.close());
  const {url, caFile} = relay;
  return {
    port,
    options: {relay: url, token, stateDir, ...(caFile !== undefined && {caFile})},
    stdio: ['ignore', file.fd, 'inherit'] as const,
    output: () => readFile(path, 'utf8'),
  };
}

test('a command is a member of its own, and ends with its network', async ({scope}) => {
  const {port, options, stdio, output} = await setUp(scope);
  const lab = await network('lab', {...options, name: 'web', serve: [`8000:${port}`]});
  scope.onEnd(() => lab.close());
  const started: MemberStart[] = [];
  const onStart = (member: MemberStart) => void started.push(member);
  const script = 'curl -s http://web:8000/ && echo " $TUNL_MEMBER $TUNL_I6PN_ADDR" && exit 7';
  const exit = await lab.run(['sh', '-c', script], {name: 'job', stdio: [...stdio], onStart});
  expect(exit).toEqual({code: 7, signal: null});
  expect(started).toEqual([{name: 'job', address: expect.stringMatching(/^fdaa:/), prefix: lab.prefix}]);
  expect(await output()).toMatch(new RegExp(`^hello \\S+ job ${started[0]?.address}\n$`));
  expect(started[0]?.address).not.toBe(lab.address);

  await expect(lab.run(['true'], {isolated: true, egress: 'fixed'})).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  });
  await expect(lab.run(['true'], {egress: 'none'})).rejects.toMatchObject({
    code: 'EGRESS_UNKNOWN',
    next: 'It offers fixed.',
  });
  await expect(lab.run(['true'], {name: 'web'})).rejects.toMatchObject({code: 'MEMBER_NAME_USED'});
  await expect(lab.run(['/no/such'])).rejects.toMatchObject({code: 'PROGRAM_MISSING'});

  const up = Promise.withResolvers<MemberStart>();
  const running = lab.run(['sleep', '1000'], {isolated: true, onStart: up.resolve});
  expect((await up.promise).name).toMatch(/^run-[0-9a-f]{8}$/);
  await lab.close();
  expect(await running).toMatchObject({signal: 'SIGTERM'});
  await expect(lab.run(['true'])).rejects.toMatchObject({code: 'CLOSED'});
});

test('ports and tunnels that open while their network ends, or later, do not outlive it', async ({scope}) => {
  const {port: web, options} = await setUp(scope);
  const lab = await network('lab', {...options, name: 'web', serve: [`8000:${web}`]});
  const local = await unusedPort();
  const port = lab.forward('web:8000', {listen: `127.0.0.1:${local}`});
  const tunnel = lab.expose('web:8000', {log: () => {}});
  await lab.close();
  await port;
  await (await tunnel).closed;
  await expect(lab.forward('web:8000', {listen: `127.0.0.1:${local}`})).rejects.toMatchObject({
    code: 'CLOSED',
  });
  await expect(lab.expose('web:8000')).rejects.toMatchObject({code: 'CLOSED'});
  // The port is free again.
  await scope.listen(createServer(), '127.0.0.1', local);
});

test('a command behind an egress', async ({scope}) => {
  const {port, options, stdio, output} = await setUp(scope);
  const fixed = await egress('fixed', options);
  scope.onEnd(() => fixed.close());
  const script = `curl -s http://127.0.0.1:${port}/ && exit 7`;
  const exit = await fixed.run(['sh', '-c', script], {stdio: [...stdio], localPorts: [port]});
  expect(exit).toEqual({code: 7, signal: null});
  expect(await output()).toBe('hello 127.0.0.1');
});
