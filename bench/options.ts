// The command line of `npm run bench`, with the peers and loads that it knows.

import {parseArgs} from 'node:util';
import {loads} from './loads/loads.js';
import {buildRevision} from './machine/revision.js';
import {bore} from './peers/bore.js';
import {chisel} from './peers/chisel.js';
import {direct} from './peers/direct.js';
import {floor} from './peers/floor.js';
import {frp, frpBehindNginx, frpQuic} from './peers/frp.js';
import type {Peer} from './peers/peer.js';
import {rathole} from './peers/rathole.js';
import {simplest} from './peers/simplest.js';
import {ssh} from './peers/ssh.js';
import {tunl, tunlOf, tunlWithoutReplay} from './peers/tunl.js';
import {tunlEgress, tunlNet, tunlNetWays} from './peers/tunl-ways.js';
import {positive} from './report-line.js';

const allPeers: readonly Peer[] = [
  ...[direct, ssh, frp, frpQuic, frpBehindNginx, chisel, bore, rathole],
  ...[simplest, floor, tunl, tunlWithoutReplay, tunlEgress, tunlNet],
];
/** Peers for a question of their own. */
const onlyNamed: readonly Peer[] = tunlNetWays;
const allLoads = [...loads.map(({name}) => name), 'version'];

export const usage = `npm run bench -- [--quick] [--rounds 3] [--size 1024] [--only LOAD,…] [--peers PEER,…] [--against REV]

  --quick    one short round: shows that everything works, not how fast it is
  --rounds   how often everything is measured (3)
  --size     MiB of a bulk transfer (1024)
  --only     ${allLoads.join(', ')}
  --against  other revisions of this project as further peers, built in the cache: REV,…
  --peers    ${allPeers.map(({name}) => name).join(', ')};
             only when named: ${onlyNamed.map(({name}) => name).join(', ')}
`;

export interface Options {
  quick: boolean;
  rounds: number;
  sizeMib: number;
  seconds: number;
  only: readonly string[];
  peers: readonly Peer[];
}

export function readOptions(): Options | undefined {
  const {values} = parseArgs({
    options: {
      help: {type: 'boolean', short: 'h', default: false},
      quick: {type: 'boolean', default: false},
      rounds: {type: 'string'},
      size: {type: 'string'},
      only: {type: 'string'},
      peers: {type: 'string'},
      against: {type: 'string'},
    },
  });
  if (values.help) return undefined;
  const {quick} = values;
  const nameable = [...allPeers, ...onlyNamed];
  const names =
    values.peers === undefined
      ? allPeers.map(({name}) => name)
      : chosen(
          'peers',
          values.peers,
          nameable.map(({name}) => name),
        );
  return {
    quick,
    rounds: positive('rounds', values.rounds ?? (quick ? '1' : '3')),
    sizeMib: positive('size', values.size ?? (quick ? '256' : '1024')),
    seconds: quick ? 1 : 3,
    only: chosen('only', values.only, allLoads),
    peers: [
      ...nameable.filter(({name}) => names.includes(name)),
      ...(values.against?.split(',') ?? []).map((revision) => tunlOf(revision, buildRevision(revision))),
    ],
  };
}

function chosen(flag: string, text: string | undefined, known: readonly string[]): readonly string[] {
  const names = text?.split(',') ?? known;
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`--${flag} ${unknown.join(',')}: known are ${known.join(', ')}`);
  return names;
}
