// Hundreds of invalid names, everywhere a stranger can send one: clean refusals, and never another user's tunnel.
import {expect} from 'vitest';
import {ERRORS} from '../../src/lib/core/errors.js';
import {badNames} from '../helpers/bad-names.js';
import {atLeast, atMost} from '../helpers/metric.js';
import {frame, frameBytes, RawAgent} from '../helpers/raw-agent.js';
import {startRelayProcess} from '../helpers/relay.js';
import type {Scope} from '../helpers/scope.js';
import {test} from '../helpers/test.js';
import {httpUpstream, record} from '../helpers/upstreams.js';
import {curl, tcpVisitor, tlsVisitor} from '../helpers/visitors.js';
import {hostName, message, records, serverName} from '../unit/bytes/hellos.js';
import {domain, long} from './rig.js';

const names = badNames(domain);

/** Shortens a name for the message of a failure. */
const brief = (name: string) => JSON.stringify(name.slice(0, 80));

const page = 'of the tunnel alone';

async function started(scope: Scope) {
  // All come from one address, which would be refused after a few hundred.
  const flags = ['--listen-http', '127.0.0.1:0', '--trusted-source', '127.0.0.1'];
  const relay = await startRelayProcess(scope, {flags});
  const {http} = await relay.cli.event('listening');
  const {cli, ready} = await relay.expose((await httpUpstream(scope, page)).port, {
    flags: ['--subdomain', 'good'],
  });
  const visits = () => cli.events.filter(({type}) => type === 'connection').length;
  const stillServes = async () => {
    expect((await curl(scope, relay.caFile, [`${ready.url}/`])).stdout).toBe(page);
    expect([relay.cli.exit, cli.exit]).toEqual([undefined, undefined]);
    expect(relay.cli.stderr).not.toMatch(/\n\s+at /);
  };
  return {relay, http: http?.port ?? 0, visits, stillServes};
}

/** Several at a time. */
async function forEach(values: readonly string[], act: (value: string) => Promise<void>): Promise<void> {
  const left = [...values];
  const some = async () => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await act(next);
  };
  await Promise.all(Array.from({length: 8}, some));
}

const sum = (counts: Readonly<Record<string, number>>) =>
  Object.values(counts).reduce((all, count) => all + count, 0);

/** Each answer was checked when it came. */
function holds(where: string, answered: number, visits: number): void {
  const name = `names that are none, ${where}`;
  expect(atLeast(name, 'names with a clean answer', answered, 500)).toBe(true);
  expect(atMost(name, 'visits of a tunnel', visits, 0)).toBe(true);
}

test('as a server name', async ({scope}) => {
  const {relay, visits, stillServes} = await started(scope);
  const answers: Record<string, number> = {};
  await forEach(names, async (name) => {
    if (Buffer.byteLength(name) > 65_000) return;
    const hello = records(message(name === '' ? [] : [serverName(hostName(name))]));
    const visitor = record(await tcpVisitor(scope, relay.port));
    visitor.socket.on('end', () => visitor.socket.end());
    visitor.socket.write(hello);
    await visitor.closed;
    // Nothing, or an alert: no handshake, no certificate.
    const [first] = visitor.data();
    if (first !== undefined) expect([brief(name), first]).toEqual([brief(name), 21]);
    answers[first ?? 'closed'] = (answers[first ?? 'closed'] ?? 0) + 1;
  });
  process.stdout.write(`${JSON.stringify({serverNames: names.length, answers})}\n`);
  const visited = visits();
  await stillServes();
  holds('as a server name', sum(answers), visited);
});

test("as a host, at the relay's own name and at the HTTP redirect", async ({scope}) => {
  const {relay, http, visits, stillServes} = await started(scope);
  const answers: Record<string, number> = {};
  const shapes = [
    (name: string) => `GET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`,
    (name: string) => `GET http://${name}/ HTTP/1.1\r\nHost: x\r\n\r\n`,
    (name: string) => `CONNECT ${name}:443 HTTP/1.1\r\nHost: ${name}\r\n\r\n`,
    (name: string) =>
      `GET / HTTP/1.1\r\nHost: ${domain}\r\nX-Forwarded-Host: ${name}\r\nHost: ${name}\r\n\r\n`,
  ];
  let turn = 0;
  const ask = async (shape: (name: string) => string, name: string) => {
    for (const isPlain of [false, true]) {
      const socket = isPlain
        ? await tcpVisitor(scope, http)
        : await tlsVisitor(scope, {host: domain, port: relay.port}, {caFile: relay.caFile});
      const visitor = record(socket);
      socket.on('end', () => socket.end());
      socket.write(shape(name));
      await Promise.race([visitor.ended, visitor.closed]);
      const said = visitor.data().toString('latin1');
      socket.destroy();
      const status = /^HTTP\/1\.1 (\d+)/.exec(said)?.[1] ?? 'closed';
      const key = `${isPlain ? 'plain' : 'own'} ${status}`;
      answers[key] = (answers[key] ?? 0) + 1;
      expect([brief(name), said.includes(page)]).toEqual([brief(name), false]);
      const wanted = isPlain ? /^(308|400|431|closed)$/ : /^(200|400|404|405|431|closed)$/;
      expect([brief(name), status]).toEqual([brief(name), expect.stringMatching(wanted)]);
      const location = /^Location: (.*)$/m.exec(said)?.[1];
      if (location === undefined) continue;
      // The redirect leads only to this relay.
      const {protocol, hostname} = new URL(location);
      expect([brief(name), protocol, hostname]).toEqual([
        brief(name),
        'https:',
        expect.stringMatching(/(^|^[a-z0-9_.-]+\.)r1\.localhost\.?$/),
      ]);
    }
  };
  await forEach(names, async (name) => {
    turn += 1;
    // The short form tries one of the shapes in turn.
    const chosen = long ? shapes : [shapes[turn % shapes.length] ?? shapes[0]];
    for (const shape of chosen) if (shape !== undefined) await ask(shape, name);
  });
  process.stdout.write(`${JSON.stringify({hosts: names.length, answers})}\n`);
  const visited = visits();
  await stillServes();
  holds('as a host or authority', sum(answers), visited);
});

test('as a name to bind', async ({scope}) => {
  const {relay, visits, stillServes} = await started(scope);
  const answers: Record<string, number> = {};
  const begin = async () =>
    (await RawAgent.begin(scope, {port: relay.port, domain, caFile: relay.caFile, token: relay.token})).agent;
  let agent = await begin();
  let request = 0;
  const bind = async (name: string): Promise<{type: string; code?: string; host?: string}> => {
    request += 1;
    const mine = request;
    const wish = {kind: 'tls', h2: false, name};
    agent.segment(frameBytes(frame.control, 0, JSON.stringify({type: 'bind', request: mine, wish})));
    return agent
      .frame(({type, payload}) => type === frame.control && payload.includes(`"request":${mine},`))
      .then(
        ({payload}) => JSON.parse(payload.toString()),
        async () => ({type: 'ended', code: await agent.lastWord()}),
      );
  };
  for (const name of names) {
    let answer = await bind(name);
    if (answer.code === 'RELAY_BUSY') {
      // One session may not ask so often.
      agent = await begin();
      answer = await bind(name);
    }
    const {type, code, host} = answer;
    if (type === 'bound')
      expect([brief(name), host]).toEqual([brief(name), `${name.toLowerCase()}.${domain}`]);
    else expect([brief(name), code, code !== undefined && code in ERRORS]).toEqual([brief(name), code, true]);
    answers[`${type} ${code ?? ''}`] = (answers[`${type} ${code ?? ''}`] ?? 0) + 1;
    if (type === 'ended') agent = await begin();
  }
  process.stdout.write(`${JSON.stringify({binds: names.length, answers})}\n`);
  const visited = visits();
  await stillServes();
  holds('as a name to bind', sum(answers), visited);
});
