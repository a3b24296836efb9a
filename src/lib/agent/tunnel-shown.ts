// The output of `console.log(tunnel)`: the addresses and the state. The object itself contains the token.

import {type InspectOptions, inspect} from 'node:util';
import {formatHostPort} from '../protocol/targets.js';
import type {ReadyEvent} from './events.js';

/** The name of the method that Node calls. */
export const SHOWN: typeof inspect.custom = inspect.custom;

export function shown(
  {is: state, ready}: {readonly is: string; readonly ready?: ReadyEvent},
  connections: number,
  options: InspectOptions,
): string {
  const facts = {
    ...(ready?.url !== undefined && {url: ready.url}),
    ...(ready?.tcp !== undefined && {tcp: formatHostPort(ready.tcp.host, ready.tcp.port)}),
    ...(ready !== undefined && {upstream: ready.upstream, relay: ready.relay.url}),
    state,
    connections,
  };
  return `Tunnel ${inspect(facts, options)}`;
}
