// The order in which a client makes TLS contexts and opens TCP connections.

import {subscribe, unsubscribe} from 'node:diagnostics_channel';
import {createSecureContext} from 'node:tls';
import {vi} from 'vitest';
import type {Scope} from './scope.js';

/** A list that grows by `context` or `connection` with each of them in this process, until the scope ends. */
export function dialOrder(scope: Scope): string[] {
  const order: string[] = [];
  const tls = process.getBuiltinModule('node:tls');
  const made = vi.spyOn(tls, 'createSecureContext').mockImplementation((options) => {
    order.push('context');
    return createSecureContext(options);
  });
  const opened = () => void order.push('connection');
  subscribe('net.client.socket', opened);
  scope.onEnd(() => {
    made.mockRestore();
    unsubscribe('net.client.socket', opened);
  });
  return order;
}
