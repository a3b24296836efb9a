// The events of a cluster.

/** `tunl cluster join`: some members have not come yet. */
export interface ClusterWaitingEvent {
  type: 'cluster-waiting';
  cluster: string;
  /** Members that are there, this one among them. */
  present: number;
  size: number;
}

/** A member has its rank and its address. */
export interface ClusterMemberEvent {
  type: 'cluster-member';
  /** The id of the cluster on one machine, or its name. */
  cluster: string;
  rank: number;
  /** Its IPv6 address, which only members reach. */
  address: string;
  /** The name of this address inside. */
  name: string;
}

/** All members start their programs. */
export interface ClusterStartEvent {
  type: 'cluster-start';
  cluster: string;
  size: number;
  /** 1, and one more after each restart. */
  epoch: number;
}

/** The program of a member has ended. */
export interface ClusterExitEvent {
  type: 'cluster-exit';
  cluster: string;
  epoch: number;
  rank: number;
  code?: number;
  signal?: string;
  /** As a shell reports it: 128 plus the number of a signal. */
  exitCode: number;
  /** It was told to end, because another one had failed or somebody asked for it. */
  told?: true;
}

/** A program has failed, and all members start again after a pause. */
export interface ClusterRestartEvent {
  type: 'cluster-restart';
  cluster: string;
  /** The one of the start that follows. */
  epoch: number;
  /** The pause before it. */
  delayMs: number;
  /** As a shell reports it. */
  exitCode: number;
  /** The member that failed first. */
  failed?: number;
}

/** A port of a member has a public address. */
export interface ClusterExposedEvent {
  type: 'cluster-exposed';
  cluster: string;
  rank: number;
  port: number;
  /** For visitors. */
  address: string;
}

/** All programs have ended. */
export interface ClusterClosedEvent {
  type: 'cluster-closed';
  cluster: string;
  exitCode: number;
  /** The member that failed first. */
  failed?: number;
}

export type ClusterEvent =
  | ClusterWaitingEvent
  | ClusterMemberEvent
  | ClusterStartEvent
  | ClusterExitEvent
  | ClusterRestartEvent
  | ClusterExposedEvent
  | ClusterClosedEvent;
