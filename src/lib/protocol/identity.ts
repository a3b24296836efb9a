// The text that an agent signs to prove its identity when it has no token.

/** Label and length of the exported TLS key material (RFC 8446 §7.5, RFC 5705): for one connection and only this purpose. */
export const IDENTITY_EXPORTER = {label: 'EXPORTER-tunl-identity', bytes: 32} as const;

export interface IdentityFacts {
  /** The relay's own name: the host that the agent dialled, the domain that the relay serves. */
  relay: string;
  relayNonce: string;
  agentNonce: string;
  /** Key material of the connection; undefined when the carrier has no TLS of its own. */
  exported: Buffer | undefined;
}

/**
 * A relay that passes on another relay's nonce gets a signature that the other one refuses: the name differs, and
 * so does the key material, even when somebody listens under the same name.
 */
export function identityText({relay, relayNonce, agentNonce, exported}: IdentityFacts): Buffer {
  const lines = ['tunl identity', relay, relayNonce, agentNonce, exported?.toString('hex') ?? ''];
  return Buffer.from(lines.join('\n'));
}
