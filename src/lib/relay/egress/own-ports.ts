// The ports that the relay itself listens on: connections to them from here would be loops.

import type {RelaySettings} from '../settings.js';
import type {Elsewhere} from '../tunnels/elsewhere.js';

export interface OwnPorts {
  /** Agents, visitors, and the pages of the relay. */
  isDoor(port: number): boolean;
  /** A tunnel has this TCP port. */
  isTunnel(port: number): boolean | Promise<boolean>;
}

export interface OwnPortsOptions {
  settings: Pick<RelaySettings, 'listenHttp' | 'metricsListen' | 'tcpPorts'>;
  door: {readonly address: {readonly port: number}};
  publicPort: () => number;
  tunnels: {ofPort(port: number): unknown};
  elsewhere: Elsewhere | undefined;
}

export function ownPorts({settings, door, publicPort, tunnels, elsewhere}: OwnPortsOptions): OwnPorts {
  const {listenHttp, metricsListen, tcpPorts} = settings;
  return {
    isDoor: (port) =>
      port === door.address.port ||
      port === publicPort() ||
      port === listenHttp?.port ||
      port === metricsListen?.port,
    isTunnel: (port) => {
      if (tcpPorts === undefined) return false;
      const [first, last] = tcpPorts;
      if (last > 0) return port >= first && port <= last;
      return tunnels.ofPort(port) !== undefined || (elsewhere?.holds(`tcp:${port}`) ?? false);
    },
  };
}
