// A relay of this checkout's build on a free port, with its own state folder, for agents with its token.

import {randomBytes} from 'node:crypto';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Child} from '../../test/helpers/child.js';
import type {Scope} from '../../test/helpers/scope.js';
import {start, within} from '../machine/programs.js';
import {projectRoot} from '../machine/tools.js';
import {startTimeoutMs} from './peer.js';

/** The program of this checkout. */
export const program = join(projectRoot, 'bin/run.js');

export interface TunlRelay {
  relay: Child;
  /** The environment in which an agent finds it. */
  env: {TUNL_RELAY: string; TUNL_CA_FILE: string; TUNL_TOKEN: string};
}

export interface TunlRelayOptions {
  env?: Record<string, string>;
  /** Arguments for `node`, before the program. */
  nodeWords?: readonly string[];
  /** bin/run.js of another revision. Default: this checkout's. */
  program?: string;
  /** More arguments of `tunl relay start`. */
  flags?: readonly string[];
  /** The cores it may use, as `taskset` wants them. Default: all. */
  cores?: string;
  /** The namespace it runs in, if not this one, with its name and addresses there. */
  at?: {namespace: string; domain: string; listen: string};
}

export async function startTunlRelay(
  scope: Scope,
  {env = {}, nodeWords = [], program: entry = program, flags = [], cores, at}: TunlRelayOptions = {},
): Promise<TunlRelay> {
  const folder = await scope.tempDir('bench-relay');
  const token = randomBytes(24).toString('hex');
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, token, {mode: 0o600});
  const words = [
    ...['relay', 'start', '--domain', at?.domain ?? 'bench.localhost'],
    ...['--listen', at?.listen ?? '127.0.0.1:0', '--tcp-ports', '0'],
    ...['--token-file', tokenFile, '--drain-timeout', '0s', '--json'],
    ...flags,
  ];
  const pinned = cores === undefined ? [] : ['taskset', '-c', cores];
  const [command = '', ...args] = [...pinned, process.execPath, ...nodeWords, entry, ...words];
  const relay = start(scope, command, args, {
    env: {...env, TUNL_STATE_DIR: join(folder, 'state')},
    name: 'tunl relay start',
    ...(at !== undefined && {namespace: at.namespace}),
  });
  const line = await within(
    startTimeoutMs,
    'event listening from tunl',
    relay.line((text) => text.includes('"type":"listening"')),
  );
  const {url, caFile} = JSON.parse(line) as {url: string; caFile: string};
  return {relay, env: {TUNL_RELAY: url, TUNL_CA_FILE: caFile, TUNL_TOKEN: token}};
}
