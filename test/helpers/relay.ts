// A relay in a separate process: `tunl relay start` with a token file, a state folder and TCP ports.
import {randomBytes} from 'node:crypto';
import {writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {type Cli, type CliOptions, type Exposed, type ExposeOptions, expose, startCli} from './cli.js';
import type {Scope} from './scope.js';

export interface RelayProcessOptions extends CliOptions {
  /** Default `r1.localhost`: every name below `.localhost` is this machine. */
  domain?: string;
  /** Default `127.0.0.1:0`. */
  listen?: string;
  /** Default `0`: any free port. */
  tcpPorts?: string;
  /** Default `0s`: tests end at once. */
  drainTimeout?: string;
  /** False: the relay needs no token; every agent's state folder is a separate owner. Default true. */
  withToken?: boolean;
  /** False: the number of workers comes from elsewhere, such as a configuration file. Default true. */
  workers?: boolean;
  /** Default: a new one. The token owns the names of a relay's agents, so a relay that starts again needs the same. */
  token?: string;
  flags?: readonly string[];
}

export interface RelayProcess {
  cli: Cli;
  domain: string;
  /** The URL for --relay of agents. */
  url: string;
  host: string;
  port: number;
  caFile: string;
  token: string;
  tokenFile: string;
  /** The environment for an agent of this relay, with the token. */
  env: Record<string, string>;
  /** `tunl expose TARGET` through this relay, in a separate process. */
  expose(target: number | string, options?: ExposeOptions): Promise<Exposed>;
}

export async function startRelayProcess(
  scope: Scope,
  options: RelayProcessOptions = {},
): Promise<RelayProcess> {
  const domain = options.domain ?? 'r1.localhost';
  const stateDir = options.stateDir ?? (await scope.tempDir('relay'));
  const token = options.token ?? randomBytes(24).toString('base64url');
  const withToken = options.withToken ?? true;
  const tokenFile = join(stateDir, 'agents.token');
  await writeFile(tokenFile, `${token}\n`, {mode: 0o600});
  const cli = await startCli(
    scope,
    [
      ...[
        'relay',
        'start',
        '--json',
        ...(options.workers === false ? [] : workerFlags(options.flags)),
        '--domain',
        domain,
        '--listen',
        options.listen ?? '127.0.0.1:0',
      ],
      ...['--tcp-ports', options.tcpPorts ?? '0', '--drain-timeout', options.drainTimeout ?? '0s'],
      ...(withToken ? ['--token-file', tokenFile] : []),
      ...(options.flags ?? []),
    ],
    {...options, stateDir},
  );
  const listening = await cli.event('listening');
  const {host, port} = listening.address;
  const caFile = listening.caFile ?? '';
  const env: Record<string, string> = {
    TUNL_RELAY: listening.url,
    ...(withToken && {TUNL_TOKEN: token}),
    ...(caFile !== '' && {TUNL_CA_FILE: caFile}),
  };
  return {
    cli,
    domain,
    url: listening.url,
    host,
    port,
    caFile,
    token,
    tokenFile,
    env,
    expose: (target, more = {}) => expose(scope, target, {...more, env: {...env, ...more.env}}),
  };
}

/** One process, so that tests are the same on every machine. `TUNL_TEST_WORKERS=4`: all relays have as many workers. */
function workerFlags(flags: readonly string[] = []): string[] {
  if (flags.some((flag) => flag.startsWith('--workers'))) return [];
  return ['--workers', process.env.TUNL_TEST_WORKERS ?? '1'];
}
