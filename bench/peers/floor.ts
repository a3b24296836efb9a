// The prototype of the design notes: how fast Node is with one WebSocket over TLS and nothing else, no names, no resume.
//
// It is not part of this repository, and runs from where it lies. Its relay has one upstream, so each upstream gets a relay.

import {existsSync} from 'node:fs';
import {connect} from 'node:net';
import {dirname, join, resolve} from 'node:path';
import {setTimeout as sleep} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import type {Scope} from '../../test/helpers/scope.js';
import {memoryMbOf} from '../machine/proc.js';
import {start, within} from '../machine/programs.js';
import {projectRoot} from '../machine/tools.js';
import type {Upstream} from '../upstream.js';
import {loopback, type Peer, type Route, startTimeoutMs} from './peer.js';

const usualPlace = 'shared/prototypes/dataplane';

/** The ports that its relay has in its source. */
const fixed = {agents: 18443, tcp: 18001, tls: 18002};

const freePortsHook = fileURLToPath(new URL('floor-ports.js', import.meta.url));

export const floor: Peer = {
  name: 'floor',
  about: 'the prototype of the design notes, without names, resume or limits',
  needs: [],
  missing: () =>
    find() === undefined
      ? `the prototype lies neither in TUNL_BENCH_PROTOTYPE nor in a folder ${usualPlace} above this checkout`
      : undefined,
  async start(scope, {upstream}) {
    const web = await startFor(scope, upstream, upstream.port);
    const sink = await startFor(scope, upstream, upstream.sinkPort);
    const {uploadTls, echo} = upstream.services;
    return {
      relayBeforeMb: web.relayBeforeMb,
      tcp: web.tcp,
      https: web.https,
      upload: sink.tcp,
      ...(uploadTls && {uploadTls: sink.https}),
      ...(echo && {echo: (await startFor(scope, upstream, echo.port)).tcp}),
    };
  },
};

/** The folder of the prototype: as the environment says, or the nearest one above this checkout. */
function find(): string | undefined {
  const given = process.env.TUNL_BENCH_PROTOTYPE;
  const folders = given === undefined ? above(projectRoot) : [resolve(given)];
  return folders.find((folder) => existsSync(join(folder, 'relay.mjs')));
}

function above(folder: string): string[] {
  const parent = dirname(resolve(folder));
  return parent === resolve(folder) ? [] : [join(parent, usualPlace), ...above(parent)];
}

interface Pair {
  tcp: Route;
  https: Route;
  relayBeforeMb: number;
}

/** A relay and an agent for the upstream on `port`. */
async function startFor(scope: Scope, upstream: Upstream, port: number): Promise<Pair> {
  const folder = find() ?? '';
  const {certFile, host} = upstream.certificate;
  // Its relay reads key.pem and cert.pem in its working directory.
  const node = (words: readonly string[], env: Record<string, string> = {}) =>
    start(scope, process.execPath, ['--max-semi-space-size=1', ...words], {cwd: dirname(certFile), env});
  const relay = node(['--import', freePortsHook, join(folder, 'relay.mjs')]);
  const listening = relay.line(() => relay.lines.length >= Object.keys(fixed).length);
  await within(startTimeoutMs, 'ports of the prototype', listening);
  const told = relay.lines.map((line) => JSON.parse(line) as {fixed: number; port: number});
  const ports = new Map(told.map((each) => [each.fixed, each.port]));
  const publicPort = (name: keyof typeof fixed): number => {
    const found = ports.get(fixed[name]);
    if (found === undefined) throw new Error(`the prototype does not listen on port ${fixed[name]}`);
    return found;
  };
  const relayBeforeMb = memoryMbOf(relay.pid, 'VmRSS');
  const agent = node([join(folder, 'agent.mjs'), '1'], {
    RPORT: String(publicPort('agents')),
    UP: String(port),
  });
  await within(startTimeoutMs, 'answer through the prototype', answered(publicPort('tcp')));
  const pids = {relayPid: relay.pid, agentPid: agent.pid};
  return {
    relayBeforeMb,
    tcp: {scheme: 'tcp', host: loopback, port: publicPort('tcp'), ...pids},
    https: {scheme: 'https', host, port: publicPort('tls'), ...pids},
  };
}

/** Resolves when an upstream answers there: the relay closes connections until its agent has come. */
async function answered(port: number): Promise<void> {
  while (!(await answers(port))) await sleep(5);
}

function answers(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(port, loopback);
    socket.on('error', () => {});
    socket.once('close', () => settle(false));
    socket.once('data', () => {
      settle(true);
      socket.destroy();
    });
    socket.write('GET / HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n');
  });
}
