// The place of a process among several of one relay, for the sessions of agents.

/** A worker, one of several processes of this relay. */
export interface WorkerPlace {
  readonly number: number;
  /** The id of a new session. It tells all processes where the session is. */
  newSessionId(): string;
  /** The other process that has this session; undefined: none. */
  workerOf(sessionId: string): number | undefined;
}
