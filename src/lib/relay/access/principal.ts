// The identity of an agent at this relay, proved by a token or by its own key.

export interface Principal {
  /** The owner of its leases: a hash of its token or of its key, never the token or key itself. */
  readonly owner: string;
  /** The id of the agent's own key; undefined when it has not proved one. */
  readonly keyId: string | undefined;
}
