// The agents of one process: tunnels with the same relay, token, CA and state folder share a link.

import type {LocalTunnel} from './agent/tunnel.js';
import {TunnelAgent, type TunnelLinkSettings} from './agent/tunnel-agent.js';
import type {TunnelSettings} from './agent/tunnel-settings.js';
import {TunlError} from './core/errors.js';
import {createHash} from './core/node-crypto.js';

/** The most tunnels of one link: by default a relay allows an agent a hundred names and ports, and a tunnel has up to two. */
const MOST_TUNNELS = 40;

/** The state that the tunnels of one link share. */
interface Place {
  /** The labels of the forwarded upstreams. */
  readonly forwarded: Set<string>;
  readonly agents: Set<TunnelAgent>;
}

export interface PoolRequest {
  /** The settings that must be equal for two tunnels to share a link. */
  key: readonly unknown[];
  /** The upstream's label: the same one is not forwarded twice. Undefined: it is not known yet. */
  label: string | undefined;
  link: TunnelLinkSettings;
  tunnel: TunnelSettings;
}

export class AgentPool {
  readonly #places = new Map<string, Place>();

  /** @throws TunlError PORT_FORWARDED_TWICE, or like `TunnelAgent.addTunnel`. */
  async open({key, label, link, tunnel}: PoolRequest): Promise<LocalTunnel> {
    // The key contains secrets, so only its hash is kept.
    const hash = createHash('sha256').update(JSON.stringify(key)).digest('hex');
    const place = this.#places.get(hash) ?? {forwarded: new Set(), agents: new Set()};
    this.#places.set(hash, place);
    if (label !== undefined && place.forwarded.has(label))
      throw new TunlError('PORT_FORWARDED_TWICE', {reason: `${label} is forwarded already.`});
    if (label !== undefined) place.forwarded.add(label);
    const leave = () => {
      if (label !== undefined) place.forwarded.delete(label);
      if (place.forwarded.size === 0 && place.agents.size === 0) this.#places.delete(hash);
    };
    const begin = () => {
      const agent: TunnelAgent = new TunnelAgent({
        ...link,
        onOver: () => {
          link.onOver?.();
          place.agents.delete(agent);
          if (place.forwarded.size === 0 && place.agents.size === 0) this.#places.delete(hash);
        },
      });
      place.agents.add(agent);
      return agent;
    };
    const cleanUp = async () => {
      leave();
      await tunnel.cleanUp();
    };
    const shared = [...place.agents].find((agent) => !agent.over && agent.size < MOST_TUNNELS);
    try {
      try {
        return await (shared ?? begin()).addTunnel({...tunnel, cleanUp});
      } catch (error) {
        // The relay has a lower limit, or other tunnels of this process have used it up: each agent has its own limit.
        const isFull = error instanceof TunlError && error.code === 'TOO_MANY_TUNNELS';
        if (!isFull || shared === undefined || shared.over) throw error;
        return await begin().addTunnel({...tunnel, cleanUp});
      }
    } catch (error) {
      leave();
      throw error;
    }
  }
}
