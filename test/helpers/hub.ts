// A hub of the built command behind a relay of its own, with real sandboxes.

import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import type {SessionView} from '../../src/lib/hub/session.js';
import {runCli, startCli} from './cli.js';
import {type RelayProcess, startRelayProcess} from './relay.js';
import type {Scope} from './scope.js';
import {curl} from './visitors.js';

/** A program with a port, whose start costs little. */
const FILES = `
  files:
    command: [python3, -m, http.server, --bind, 127.0.0.1, "{port}"]
    port: 8000
`;

export interface HubAround {
  relay?: Pick<RelayProcess, 'url' | 'tokenFile' | 'caFile'>;
  /** Further lines of hub.yaml. */
  settings?: string;
}

/** Its sessions end with the scope. */
export async function openHub(scope: Scope, templates = FILES, {relay, settings = ''}: HubAround = {}) {
  const {url, tokenFile, caFile} = relay ?? (await startRelayProcess(scope));
  const stateDir = await scope.tempDir('hub');
  const config = join(stateDir, 'hub.yaml');
  const head = `relay: ${url}\ntoken-file: ${tokenFile}\nca-file: ${caFile}\nfree-memory: 0\nfree-disk: 0\n`;
  await writeFile(config, `${head}${settings}templates:${templates}`);
  const hub = (args: readonly string[]) => runCli(scope, ['hub', ...args], {stateDir});
  // Sessions outlive their hub; the scope ends in reverse.
  scope.onEnd(async () => {
    const {stdout} = await runCli(scope, ['sandbox', 'ps', '--json'], {stateDir});
    const ids = stdout.split('\n').flatMap((line) => /"id":"(sb_\w+)"/.exec(line)?.[1] ?? []);
    if (ids.length > 0) await runCli(scope, ['sandbox', 'stop', ...ids], {stateDir});
  });
  const start = async () => {
    const cli = await startCli(scope, ['hub', 'start', '--config', config, '--json'], {stateDir});
    return {cli, event: await cli.event('hub')};
  };
  const {cli, event} = await start();
  const addUser = async (name: string, quota = 5) => {
    const {stdout} = await hub(['user', 'add', name, '--quota', String(quota)]);
    return stdout.trim();
  };
  const ask = async (token: string, path: string, args: readonly string[] = []) => {
    const words = ['-w', '\n%{http_code} %{redirect_url}', '-H', `Authorization: Bearer ${token}`, ...args];
    const {stdout} = await curl(scope, caFile, [...words, `${event.url}${path}`]);
    const [body = '', last = ''] = [stdout.slice(0, stdout.lastIndexOf('\n')), stdout.split('\n').at(-1)];
    const [status = '', location = ''] = last.split(' ');
    return {status: Number(status), location, body};
  };
  const session = async (token: string, args: readonly string[] = ['-d', '']) => {
    const {body} = await ask(token, '/v1/sessions', ['-H', 'Accept: application/json', ...args]);
    return JSON.parse(body) as SessionView;
  };
  return {cli, start, hub, addUser, ask, session, caFile, stateDir, url: event.url};
}
