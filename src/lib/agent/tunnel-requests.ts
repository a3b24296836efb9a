// The requests of a tunnel to the relay, and its `ready` event.

import type {AddressRules, TunnelRequest} from '../protocol/control-messages.js';
import {formatHostPort, type HostPort, publicUrl} from '../protocol/targets.js';
import type {ReadyEvent} from './events.js';
import type {TunnelGates} from './upstreams/gated/tunnel-gates.js';

/** The public addresses from the relay. */
export interface PublicSides {
  /** Absent when the token allows only the TCP port. */
  tls?: HostPort;
  tcp?: HostPort;
  /** A port of this machine that only this tunnel has: it works in programs that cannot resolve the name. */
  local?: LocalSide;
}

/** A port of this machine. `lan`: in the local network, with the facts for `ready`. */
export interface LocalSide extends HostPort {
  lan?: ReadyEvent['lan'];
}

interface TlsWish {
  h2: boolean;
  http1: boolean;
  subdomain: string | undefined;
  cidr: AddressRules | undefined;
}

interface TcpWish {
  remotePort: number | undefined;
  cidr: AddressRules | undefined;
}

/** @param prefer a random name of an earlier tunnel, which the relay may give again */
export function tlsRequest({h2, http1, subdomain, cidr}: TlsWish, prefer: string | undefined): TunnelRequest {
  const name = subdomain !== undefined ? {name: subdomain} : prefer !== undefined ? {prefer} : {};
  const offers = h2 && !http1 ? {h2, http1} : {h2};
  return {kind: 'tls', ...offers, ...name, ...(cidr && {cidr})};
}

/** @param prefer as for `tlsRequest`, a port */
export function tcpRequest({remotePort, cidr}: TcpWish, prefer: number | undefined): TunnelRequest {
  const port = remotePort !== undefined ? {port: remotePort} : prefer !== undefined ? {prefer} : {};
  return {kind: 'tcp', ...port, ...(cidr && {cidr})};
}

export function readyEvent(
  {tls: named, tcp, local}: PublicSides,
  about: Pick<ReadyEvent, 'upstream' | 'relay' | 'h2'> & Partial<ReadyEvent>,
): ReadyEvent {
  const tls = local ?? named;
  const url = tls && publicUrl(tls.host, tls.port);
  return {
    type: 'ready',
    address: tcp === undefined ? (url ?? '') : formatHostPort(tcp.host, tcp.port),
    ...(url !== undefined && {url}),
    ...(tls && {tls: {host: tls.host, port: tls.port}}),
    ...(local && named && {nameUrl: publicUrl(named.host, named.port)}),
    ...(tcp === undefined ? {} : {tcp: {host: tcp.host, port: tcp.port}}),
    ...(local?.lan === undefined ? {} : {lan: local.lan}),
    ...about,
  };
}

/** The login data of visitors besides the address, which for a private tunnel is a link. That of a program may have a path. */
export function withAccess(
  ready: ReadyEvent,
  {
    gates,
    cidr,
  }: {gates: Pick<TunnelGates, 'linkTo' | 'stream' | 'ask'> | undefined; cidr: AddressRules | undefined},
): ReadyEvent {
  const link = gates?.linkTo(ready.url ?? '');
  const isOpen = !gates?.ask && !cidr?.allow?.length && Object.keys(ready.login ?? {}).length === 0;
  return link === undefined
    ? {...ready, ...(isOpen && {open: true})}
    : {
        ...ready,
        address: gates?.linkTo(ready.address) ?? ready.address,
        link,
        ...(gates?.stream && {connect: true}),
      };
}
