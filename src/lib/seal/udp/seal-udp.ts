// UDP of one seal: whether it leaves, and the reason when it does not.

import {accessSync, constants} from 'node:fs';
import type {Duplex} from 'node:stream';
import {systemClock} from '../../core/clock.js';
import {systemCode, toTunlError} from '../../core/errors.js';
import {deadline} from '../holder-process.js';
import type {Obstacle} from '../obstacles.js';
import type {MemberTarget, OuterTarget} from '../passage.js';
import type {DatagramsOut} from './flows.js';
import type {IncomingFlow, WayBack, WayIn} from './incoming-flows.js';
import {ECHO_PORT} from './packets.js';
import {UdpDoor} from './udp-door.js';

const DEVICE = '/dev/net/tun';

/** `carried`, or why it is refused. */
export type UdpState = 'carried' | Obstacle;

export interface SealUdpOptions {
  /** To destinations outside. Undefined: programs may not send there. */
  readonly out: DatagramsOut | undefined;
  /** To other members of a private network, and from them to the own address. */
  readonly member: {readonly address: string; readonly out: DatagramsOut<MemberTarget>} | undefined;
  /** The pipe of the helper. Undefined: there is none, because of the obstacle. */
  readonly pipe: Duplex | undefined;
  readonly obstacle: Obstacle | undefined;
  readonly targetOf: (address: string, port: number) => OuterTarget | MemberTarget | undefined;
  /** The helper has ended although nobody has closed it, and programs may have UDP under way. */
  readonly onLost: (detail: string) => void;
  readonly onUnreachable: ((host: string, port: number, error: unknown) => void) | undefined;
}

export class SealUdp {
  state: UdpState;
  readonly #door: UdpDoor | undefined;
  #isClosed = false;

  constructor({out, member, pipe, obstacle, targetOf, onLost, onUnreachable}: SealUdpOptions) {
    this.state = obstacle ?? NOT_YET;
    this.#door =
      pipe &&
      new UdpDoor(pipe, {
        own: member?.address,
        targetOf: (address, port) => {
          const target = targetOf(address, port);
          if (target?.kind === 'member') return member && target;
          return port === ECHO_PORT ? undefined : out && target;
        },
        out: (target, events) => {
          const way = target.kind === 'member' ? member?.out(target, events) : out?.(target, events);
          if (way === undefined) throw new Error('a destination without a way');
          return way;
        },
        onUnreachable: (host, port, error) => onUnreachable?.(host, port, error),
        now: () => systemClock.now(),
      });
    pipe?.once('close', () => {
      if (this.state === 'carried' && !this.#isClosed) onLost('its program for UDP ended');
    });
  }

  /** Never rejects: without the device UDP is refused, and the rest of the seal holds. @param route lets the namespace use the device */
  async open(route: () => Promise<unknown>): Promise<void> {
    const door = this.#door;
    if (door === undefined) return;
    try {
      const status = (await deadline(door.status)) ?? 'no answer';
      if (status !== 'ready') throw Object.assign(new Error(status), {code: status});
      await route();
      this.state = 'carried';
    } catch (error) {
      this.state = systemCode(error) === '' ? routeObstacle(error) : deviceObstacle(systemCode(error));
      // The helper ends, and the device with it.
      door.close();
    }
  }

  /** As `UdpDoor.lastDatagrams`. */
  async lastDatagrams(): Promise<void> {
    if (this.state === 'carried') await this.#door?.lastDatagrams();
  }

  /** A flow of another member. Undefined: nothing comes in. */
  enter(flow: IncomingFlow, back: WayBack): WayIn | undefined {
    return this.state === 'carried' ? this.#door?.incoming.enter(flow, back) : undefined;
  }

  close(): void {
    this.#isClosed = true;
    this.#door?.close();
  }
}

const NOT_YET: Obstacle = {why: 'The device for UDP is not open yet.', mend: 'Try again.'};

/** Why the device cannot be opened, as far as that is seen without opening it. */
export function udpObstacle(): Obstacle | undefined {
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return deviceObstacle(systemCode(error));
  }
}

/** @param code of the system, or the helper's own. */
export function deviceObstacle(code: string): Obstacle {
  switch (code) {
    case 'NO_KOFFI':
      return {
        why: 'koffi, an optional package, is not installed, or does not work on this machine.',
        mend: 'npm install --global --include=optional tunl',
      };
    case 'ENOENT':
      return {
        why: `There is no ${DEVICE}. A container gets it by --device ${DEVICE}.`,
        mend: 'sudo modprobe tun',
      };
    case 'EACCES':
      return {why: `This user may not open ${DEVICE}.`, mend: `sudo chmod 0666 ${DEVICE}`};
    case 'ENODEV':
    case 'ENXIO':
      return {why: `The kernel has no driver for ${DEVICE}.`, mend: 'sudo modprobe tun'};
    default:
      return {
        why: `${DEVICE} cannot be used (${code.slice(0, 60)}). In a container its engine forbids it.`,
        mend: `Run it outside of a container, or in one with --device ${DEVICE} --cap-add NET_ADMIN.`,
      };
  }
}

function routeObstacle(error: unknown): Obstacle {
  return {
    why: `UDP cannot be routed by itself here: ${toTunlError(error).message}`,
    mend: 'It needs a kernel with CONFIG_IP_MULTIPLE_TABLES, and iproute2 4.17 or later.',
  };
}
