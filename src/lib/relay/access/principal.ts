// Who an agent is to this relay, whatever showed it: a token, or its own key.

export interface Principal {
  /** The owner of its leases: a hash of its token or of its key, never one of them. */
  readonly owner: string;
  /** The id of the agent's own key; undefined when it has not proved one. */
  readonly keyId: string | undefined;
}
