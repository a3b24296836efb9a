// The settings of a link to a relay that was found: how it is dialled, and by which key the agent shows who it is.

import {loadIdentity} from './agent/identity.js';
import type {LinkSettings} from './agent/linked-agent.js';
import type {LinkValues} from './choose-relay.js';
import {keepsForReplay} from './core/bench-switches.js';
import {software} from './core/software.js';
import type {FoundRelay} from './find-relay.js';
import type {Identify} from './mux/handshake.js';

export function linkSettings(found: FoundRelay, settings: LinkValues): LinkSettings {
  // It is read while the relay is dialled, because it is needed only when the link is there.
  const identity: Promise<Identify> = loadIdentity(settings.stateDir).catch((error: unknown) => () => {
    // A relay with tokens never asks for an identity.
    throw error;
  });
  let identify: Identify | undefined;
  return {
    relay: found.relay,
    successors: found.successors,
    software,
    dial: async (signal, url, session) => {
      const carrier = await found.dial(signal, url, session);
      identify = await identity;
      return carrier;
    },
    identify: (asked) => (identify as Identify)(asked),
    wait: settings.wait,
    maxRetryTimeMs: settings.maxRetryTimeMs,
    keepForReplay: keepsForReplay(),
    ...(found.onOver !== undefined && {onOver: found.onOver}),
  };
}
