// What the table shows: each figure's name, unit and direction, and the goals that tunl is held to.

export interface Figure {
  key: string;
  title: string;
  digits: number;
}

export const figures: readonly Figure[] = [
  {key: 'bulk', title: 'bulk down, 1 stream, MB/s', digits: 0},
  {key: 'bulk4', title: 'bulk down, 4 streams, MB/s', digits: 0},
  {key: 'upload', title: 'bulk up, 1 stream, MB/s', digits: 0},
  {key: 'bulkTls', title: 'bulk down, HTTPS, MB/s', digits: 0},
  {key: 'uploadTls', title: 'bulk up, HTTPS, MB/s', digits: 0},
  {key: 'p50First', title: 'first seconds, 1 connection, p50 ms', digits: 3},
  {key: 'p99First', title: '… p99 ms', digits: 2},
  {key: 'rps1', title: 'requests/s, 1 connection', digits: 0},
  {key: 'p50x1', title: '… p50 ms', digits: 3},
  {key: 'p99x1', title: '… p99 ms', digits: 2},
  {key: 'rps50', title: 'requests/s, 50 connections', digits: 0},
  {key: 'p50x50', title: '… p50 ms', digits: 2},
  {key: 'p99x50', title: '… p99 ms', digits: 2},
  {key: 'rps500', title: 'requests/s, 500 connections', digits: 0},
  {key: 'p50x500', title: '… p50 ms', digits: 2},
  {key: 'p99x500', title: '… p99 ms', digits: 2},
  {key: 'rps50tls', title: 'requests/s, 50 conn., HTTPS', digits: 0},
  {key: 'p50x50tls', title: '… p50 ms', digits: 2},
  {key: 'p99x50tls', title: '… p99 ms', digits: 2},
  {key: 'conns', title: 'new connections/s, TCP', digits: 0},
  {key: 'connsTls', title: 'new connections/s, TLS', digits: 0},
  {key: 'connsResumed', title: 'new connections/s, TLS resumed', digits: 0},
  {key: 'resumedPercent', title: '… resumed, %', digits: 0},
  {key: 'echo', title: 'WebSocket messages/s, 20 conn.', digits: 0},
  {key: 'p50echo', title: '… p50 ms', digits: 2},
  {key: 'grpc', title: 'gRPC calls/s, 20 at once', digits: 0},
  {key: 'p50grpc', title: '… p50 ms', digits: 2},
  {key: 'besideP50', title: 'small beside 2 bulk, p50 ms', digits: 2},
  {key: 'besideP99', title: '… p99 ms', digits: 2},
  {key: 'besideBulk', title: '… bulk meanwhile, MB/s', digits: 0},
  {key: 'start', title: 'exec to first line, ms', digits: 0},
  {key: 'relayBefore', title: 'relay before 1st tunnel, MB', digits: 0},
  {key: 'bulkPeakRelay', title: 'peak RSS in 1st bulk, relay, MB', digits: 0},
  {key: 'bulkPeakAgent', title: 'peak RSS in 1st bulk, agent, MB', digits: 0},
  {key: 'peakRelay', title: 'peak RSS of all, relay, MB', digits: 0},
  {key: 'peakAgent', title: 'peak RSS of all, agent, MB', digits: 0},
];

/** The key of a load's CPU time: `end` is relay or agent, `kind` user or system. */
export function cpuKey(load: string, end: string, kind: string): string {
  return `cpu.${load}.${end}.${kind}`;
}

export interface Goal {
  key: string;
  /** The peer that is held to it. Default: tunl. */
  of?: string;
  /** A peer's figure, times `factor`, is the bound; without a peer the factor itself is. */
  against?: string;
  atLeast?: number;
  atMost?: number;
}

/** Figures of which more is better. */
export const rates: readonly string[] = [
  ...['bulk', 'bulk4', 'upload', 'bulkTls', 'uploadTls'],
  ...['rps1', 'rps50', 'rps500', 'rps50tls'],
  ...['conns', 'connsTls', 'connsResumed', 'echo', 'grpc'],
];

/** Ratios to others in the same run, since absolute figures drift; memory is absolute. */
export const goals: readonly Goal[] = [
  {key: 'bulk', against: 'frp', atLeast: 2.2},
  {key: 'bulk', against: 'ssh', atLeast: 1.7},
  {key: 'bulk', against: 'simplest', atLeast: 1.5},
  {key: 'upload', against: 'frp', atLeast: 1.8},
  {key: 'bulk', against: 'bore', atLeast: 1.1},
  {key: 'bulkTls', against: 'frp', atLeast: 3.3},
  {key: 'bulkTls', against: 'frp+nginx', atLeast: 2.2},
  {key: 'rps50', against: 'frp', atLeast: 1.6},
  {key: 'rps50', against: 'chisel', atLeast: 1.4},
  {key: 'rps50tls', against: 'frp', atLeast: 3},
  {key: 'p50x1', against: 'frp', atMost: 0.65},
  {key: 'p50x1', against: 'direct', atMost: 2},
  {key: 'p99x1', against: 'frp', atMost: 2},
  {key: 'besideP50', against: 'frp', atMost: 0.6},
  {key: 'conns', against: 'frp', atLeast: 1.6},
  {key: 'connsTls', against: 'frp', atLeast: 1.2},
  ...rates.map((key) => ({key, against: 'tunl-noreplay', atLeast: 0.95})),
  ...['p50x1', 'p50x50', 'besideP50'].map((key) => ({key, against: 'tunl-noreplay', atMost: 1.05})),
  ...rates.map((key) => ({key, against: 'floor', atLeast: 0.95})),
  ...['p50x1', 'p50x50'].map((key) => ({key, against: 'floor', atMost: 1.05})),
  {key: 'bulk', of: 'tunl-egress', against: 'tunl', atLeast: 0.9},
  {key: 'bulk', of: 'tunl-net', against: 'tunl', atLeast: 0.45},
  {key: 'relayBefore', atMost: 60},
  {key: 'bulkPeakRelay', atMost: 110},
  {key: 'bulkPeakAgent', atMost: 110},
  {key: 'peakRelay', atMost: 150},
  {key: 'peakAgent', atMost: 150},
  {key: 'start', against: 'ssh', atMost: 1},
  {key: 'start', against: 'node -e 0', atMost: 5},
  {key: 'version', against: 'node -e 0', atMost: 1.5},
];
