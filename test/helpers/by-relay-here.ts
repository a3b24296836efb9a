// Two members in processes of their own that meet at a relay in this process, where a test can look at their bytes.

import {createServer, type Socket} from 'node:net';
import type {RelayOptions} from '../../src/lib/relay/options.js';
import type {RunningRelay} from '../../src/lib/relay/running-relay.js';
import {startRunningRelay} from '../../src/lib/relay/start.js';
import {type Cli, startCli} from './cli.js';
import type {Scope} from './scope.js';

const TOKEN = 'a-token-of-16-or-more';

export interface ByRelayHere {
  relay: RunningRelay;
  /** Of the member with the service, and the one that connects. */
  server: Cli;
  client: Cli;
  /** `127.0.0.1:PORT`, which leads to the service. */
  address: string;
}

/**
 * @param onConnection the service of the first member
 * @param urlOf where the members dial the relay. Default: its own URL
 */
export async function membersByRelayHere(
  scope: Scope,
  options: RelayOptions,
  onConnection: (socket: Socket) => void,
  urlOf: (relay: RunningRelay) => Promise<string> = async ({url}) => url,
): Promise<ByRelayHere> {
  const stateDir = await scope.tempDir('relay');
  const relay = await startRunningRelay({
    ...{domain: 'r1.localhost', listen: '127.0.0.1:0', tcpPorts: [0, 0], token: TOKEN, stateDir},
    ...options,
  });
  scope.onEnd(async () => await relay.close());
  const service = await scope.listen(createServer({allowHalfOpen: true}, onConnection));
  const url = await urlOf(relay);
  // Members that share no temporary folder reach each other by the relay alone.
  const env = async () => ({
    ...{TUNL_RELAY: url, TUNL_TOKEN: TOKEN, TUNL_CA_FILE: relay.caFile ?? ''},
    TMPDIR: await scope.tempDir('machine'),
  });
  const serve = ['net', 'serve', 'lab', '--name', 'store', `8000:${service}`, '--json'];
  const server = await startCli(scope, serve, {env: await env()});
  await server.event('network');
  const client = await startCli(scope, ['net', 'forward', 'lab', 'store:8000', '--json'], {env: await env()});
  const {address} = await client.event('member-port');
  return {relay, server, client, address};
}
