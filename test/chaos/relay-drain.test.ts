// A relay that shuts down on purpose: open connections finish, new ones go to the next relay, nobody sees an error.

import {readFile} from 'node:fs/promises';
import {createServer, request} from 'node:https';
import {Readable} from 'node:stream';
import {expect} from 'vitest';
import {pieces} from '../helpers/bytes.js';
import {Child} from '../helpers/child.js';
import type {Cli} from '../helpers/cli.js';
import {until} from '../helpers/launching.js';
import {atMost} from '../helpers/metric.js';
import {startRelayProcess} from '../helpers/relay.js';
import {startSshd} from '../helpers/sshd.js';
import {test} from '../helpers/test.js';
import {echoUpstream, httpUpstream, record} from '../helpers/upstreams.js';
import {curl, tlsVisitor} from '../helpers/visitors.js';
import {certificateFlags, domain, keptPorts, sized, sleep} from './rig.js';

const counts = {events: sized(40, 200), uploads: sized(10, 50), logins: sized(4, 20)};
/** The connections that are open at the signal take this much longer. */
const workMs = 5_000;
const uploadBytes = 1_000_000;

interface Answer {
  status: number;
  text: string;
}

/** What an agent prints, without its visitors. */
const saidBy = ({events}: Cli) =>
  events.flatMap((event) =>
    event.type === 'connection' ? [] : event.type === 'reconnecting' ? [event.code] : [event.type],
  );

test('SIGTERM under open streams: none fails, and agents come back', async ({scope}) => {
  const {flags, caFile} = await certificateFlags(scope);
  const stateDir = await scope.tempDir('relay');
  const options = {...(await keptPorts()), stateDir, withToken: false, flags, drainTimeout: '30s'};
  const relay = await startRelayProcess(scope, options);
  const env = {TUNL_CA_FILE: caFile};
  const [web, sshd] = [await httpUpstream(scope), await startSshd(scope)];
  const site = await relay.expose(web.port, {env});
  const shell = await relay.expose(sshd.port, {env, flags: ['--tcp']});
  const {host = '', port = 0} = site.ready.tls ?? {};
  const ca = await readFile(caFile);

  const ask = (path: string, body?: Readable): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const call = request(
        {host: '127.0.0.1', port, servername: host, ca, agent: false, path, method: body ? 'PUT' : 'GET'},
        (response) => {
          let text = '';
          response.setEncoding('utf8');
          response.on('data', (piece: string) => {
            text += piece;
          });
          response.on('end', () => resolve({status: response.statusCode ?? 0, text}));
          response.on('error', reject);
        },
      );
      call.on('error', reject);
      if (body === undefined) call.end();
      else body.pipe(call);
    });

  /** An upload that lasts for the whole time. */
  const slowly = async function* () {
    for (const piece of pieces(uploadBytes)) {
      for (let at = 0; at < piece.length; at += 25_000) {
        yield piece.subarray(at, at + 25_000);
        await sleep((workMs * 25_000) / uploadBytes);
      }
    }
  };
  const events = Array.from({length: counts.events}, () => ask('/events'));
  const uploads = Array.from({length: counts.uploads}, () => ask('/upload', Readable.from(slowly())));
  const [command = '', ...words] = sshd.ssh('127.0.0.1', shell.ready.tcp?.port ?? 0);
  const logins = Array.from({length: counts.logins}, () =>
    Child.start(scope, command, [...words, `echo in; sleep ${workMs / 1000}; echo done`]),
  );
  await Promise.all([
    web.listening(counts.events),
    web.uploading(counts.uploads),
    ...logins.map((each) => each.line()),
  ]);

  relay.cli.signal('SIGTERM');
  await relay.cli.event('draining');
  const next = await startRelayProcess(scope, options);
  // New visitors all the time: some come before their agent is back, and wait.
  const fresh: Promise<Answer>[] = [];
  let tick = 0;
  for (const until = performance.now() + workMs; performance.now() < until; tick += 1) {
    web.tick(`tick ${tick}`);
    fresh.push(ask('/'));
    await sleep(100);
  }
  web.tick('last');
  web.endEvents();

  const failed = {events: 0, uploads: 0, logins: 0, fresh: 0};
  const whole = Array.from({length: tick}, (_, i) => `data: tick ${i}\n\n`).join('');
  for (const each of await Promise.allSettled(events)) {
    if (each.status === 'rejected' || each.value.text !== `${whole}data: last\n\n`) failed.events += 1;
  }
  for (const each of await Promise.allSettled(uploads)) {
    if (each.status === 'rejected' || !each.value.text.includes(`"bytes":${uploadBytes},`))
      failed.uploads += 1;
  }
  for (const each of logins) {
    const {code, stdout} = await each.finished();
    if (code !== 0 || stdout !== 'in\ndone\n') failed.logins += 1;
  }
  for (const each of await Promise.allSettled(fresh)) {
    if (each.status === 'rejected' || each.value.status !== 200) failed.fresh += 1;
  }
  const name = `SIGTERM under ${counts.events} SSE, ${counts.uploads} uploads, ${counts.logins} ssh`;
  for (const [what, count] of Object.entries(failed)) {
    expect.soft(atMost(name, `failed: ${what}`, count, 0)).toBe(true);
  }
  expect(await relay.cli.exited).toEqual({code: 0, signal: null});
  for (const {cli} of [site, shell]) {
    expect([...new Set(saidBy(cli))]).toEqual(expect.arrayContaining(['ready', 'RELAY_LEAVING', 'resumed']));
    expect(cli.events.find(({type}) => type === 'reconnecting')).toMatchObject({
      state: 'leaving',
      attempt: 1,
    });
    expect(cli.events.find(({type}) => type === 'resumed')).toMatchObject({lost: 0});
    expect(cli.stderr).toBe('');
  }
  expect(next.cli.exit).toBeUndefined();
});

test('a relay that names its successor: the agent goes there, under the same address', async ({scope}) => {
  const {flags, caFile} = await certificateFlags(scope);
  // The address is the same with both relays, as behind one forwarder.
  const common = [...flags, '--public-port', '8443'];
  const next = await startRelayProcess(scope, {flags: common});
  const relay = await startRelayProcess(scope, {
    token: next.token,
    flags: [...common, '--successor', `https://${domain}:${next.port}`],
  });
  const {cli, ready} = await relay.expose(await echoUpstream(scope), {
    // There is no forwarder here.
    flags: ['--no-probe'],
    env: {TUNL_RELAY: `https://${domain}:${relay.port}`, TUNL_CA_FILE: caFile},
  });
  const {host = ''} = ready.tls ?? {};
  expect(ready.tls?.port).toBe(8443);
  const visit = async ({port}: {port: number}) => {
    const visitor = record(await tlsVisitor(scope, {host, port}, {caFile}));
    visitor.socket.write('hello');
    expect(String(await visitor.received(5))).toBe('hello');
    visitor.socket.destroy();
  };
  await visit(relay);
  relay.cli.signal('SIGTERM');
  expect(await relay.cli.exited).toEqual({code: 0, signal: null});
  const health = [`https://${domain}:${next.port}/healthz`];
  await until(async () => JSON.parse((await curl(scope, caFile, health)).stdout).tunnels === 1);
  await visit(next);
  expect(saidBy(cli)).toEqual(['ready', 'notice', 'RELAY_LEAVING', 'resumed']);
  expect(cli.events.find(({type}) => type === 'notice')).toMatchObject({
    code: 'RELAY_LEAVING',
    message: `The relay sends this agent to https://${domain}:${next.port}.`,
  });
});

test('a relay that names a foreign successor: the agent and its token stay, and its user is told', async ({
  scope,
}) => {
  const {flags, caFile, authority} = await certificateFlags(scope);
  const tokens: (string | undefined)[] = [];
  const stranger = createServer(await authority.issue(['elsewhere.localhost']), (request, response) => {
    tokens.push(request.headers.authorization);
    response.end();
  });
  stranger.on('upgrade', (request, socket) => {
    tokens.push(request.headers.authorization);
    socket.destroy();
  });
  const url = `https://elsewhere.localhost:${await scope.listen(stranger)}`;
  const start = async (...more: string[]) => {
    const relay = await startRelayProcess(scope, {flags: [...flags, '--successor', url]});
    const env = {TUNL_RELAY: `https://${domain}:${relay.port}`, TUNL_CA_FILE: caFile};
    const {cli} = await relay.expose(await echoUpstream(scope), {env, flags: more});
    relay.cli.signal('SIGTERM');
    expect(await relay.cli.exited).toEqual({code: 0, signal: null});
    return {cli, token: `Bearer ${relay.token}`};
  };

  const {cli} = await start();
  expect(await cli.event('notice')).toMatchObject({
    code: 'SUCCESSOR_REFUSED',
    message: expect.stringContaining(url),
  });
  await cli.event('reconnecting', ({code, attempt}) => code === 'RELAY_REFUSED' && attempt >= 4);
  expect(tokens).toEqual([]);

  const allowed = await start('--follow', 'elsewhere.localhost');
  expect(await allowed.cli.event('notice')).toMatchObject({code: 'RELAY_LEAVING'});
  await allowed.cli.event('reconnecting', ({code}) => code === 'RELAY_LOST');
  expect(tokens[0]).toBe(allowed.token);
});
