// tunl from this checkout's build, with its defaults.

import {execFileSync} from 'node:child_process';
import {start, within} from '../../machine/programs.js';
import {projectRoot} from '../../machine/tools.js';
import {startTimeoutMs} from '../../peers/peer.js';
import {program, startTunlRelay} from '../../peers/tunl-relay.js';
import {type FaultPeer, RELAY_NAME} from './peer.js';

/** The version number is the same for all commits between two releases. */
const commit = execFileSync('git', ['describe', '--always', '--dirty'], {
  cwd: projectRoot,
  encoding: 'utf8',
}).trim();

export const tunl: FaultPeer = {
  name: 'tunl',
  over: 'tcp',
  needs: [],
  version: () => commit,
  async start({scope, path, upstreamPort}) {
    const {near, far} = path;
    const at = {namespace: near.namespace, domain: RELAY_NAME, listen: '0.0.0.0:443'};
    const relay = await startTunlRelay(scope, {at});
    const agent = start(
      scope,
      process.execPath,
      [program, 'expose', String(upstreamPort), '--tcp', '--quiet'],
      {
        name: 'tunl expose',
        namespace: far.namespace,
        env: {...relay.env, TUNL_STATE_DIR: await scope.tempDir('bench-agent')},
      },
    );
    const address = await within(startTimeoutMs, 'address from tunl', agent.line());
    return {host: near.address, port: Number(new URL(`tcp://${address}`).port)};
  },
};
