// An agent's own key: it identifies the agent, and without a token it also owns the agent's leases.

import {createHash, createPublicKey, verify} from '../../core/node-crypto.js';
import type {Carrier} from '../../mux/carrier.js';
import {IDENTITY_EXPORTER, identityText} from '../../protocol/identity.js';
import type {Hello} from '../../protocol/link-messages.js';

export interface Asked {
  domain: string;
  relayNonce: string;
  carrier: Carrier;
}

/** Undefined when the hello does not prove that the agent has the key, for this relay and on this carrier. */
export function provenKey(hello: Hello, {domain, relayNonce, carrier}: Asked): string | undefined {
  if (hello.identity === undefined) return undefined;
  try {
    const der = Buffer.from(hello.identity.key, 'base64url');
    const key = createPublicKey({key: der, format: 'der', type: 'spki'});
    if (key.asymmetricKeyType !== 'ed25519') return undefined;
    const exported = carrier.exportKey?.(IDENTITY_EXPORTER.label, IDENTITY_EXPORTER.bytes);
    const text = identityText({relay: domain, relayNonce, agentNonce: hello.nonce, exported});
    if (!verify(null, text, key, Buffer.from(hello.identity.signature, 'base64url'))) return undefined;
    return `key:${createHash('sha256').update(der).digest('hex').slice(0, 32)}`;
  } catch {
    // The text is not a key, or the link's TLS gives no unique key material.
    return undefined;
  }
}
