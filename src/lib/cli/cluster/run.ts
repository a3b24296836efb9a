// `tunl cluster run` and `join`: shows what members write, and ends with their exit code.

import type {ClusterEvent} from '../../cluster/events.js';
import type {JoinClusterOptions} from '../../cluster/join-options.js';
import type {ClusterEnd, ProgramOptions} from '../../cluster/options.js';
import {hold} from '../hold.js';
import type {Presenter} from '../presenter.js';
import {roomOnStderr} from '../stderr.js';
import {writeBytes} from '../stdout.js';
import {PrefixedLines} from './prefixed-lines.js';

/** A cluster that begins at once. */
export interface Beginning {
  readonly started: Promise<void>;
  readonly ended: Promise<ClusterEnd>;
  close(): Promise<ClusterEnd>;
}

export type Shown = Required<
  Pick<ProgramOptions, 'onOutput' | 'onEvent' | 'log'> & Pick<JoinClusterOptions, 'onNotice'>
>;

export interface HoldClusterOptions {
  readonly presenter: Presenter;
  readonly json: boolean;
  readonly begin: (shown: Shown) => Promise<Beginning>;
}

/** Resolves to the exit code. @throws TunlError the reason why the cluster does not run, or was lost */
export async function holdCluster({presenter, json, begin}: HoldClusterOptions): Promise<number> {
  const {stderr} = process;
  const lines = new PrefixedLines((bytes) => presenter.output(bytes), {
    colours: stderr.isTTY === true && !process.env.NO_COLOR,
  });
  const onOutput: Shown['onOutput'] = async (rank, from, bytes) => {
    // With --json stdout has the events.
    if (rank === 0 && from === 'stdout' && !json) return await writeBytes(bytes);
    lines.write(rank, from, bytes);
    await roomOnStderr();
  };
  const onEvent = (event: ClusterEvent) => {
    if (event.type === 'cluster-closed') lines.end();
    presenter.event(event);
  };
  const onNotice: Shown['onNotice'] = ({code, message}) => presenter.event({type: 'notice', code, message});
  let exitCode = 0;
  await hold({
    // The cluster itself gives its programs time.
    drainTimeoutMs: 0,
    passesOutput: true,
    onReaderGone: presenter.readerGone,
    onLeave: () => presenter.end(),
    open: async (signal) => {
      presenter.begin('starting the members');
      const cluster = await begin({onOutput, onEvent, onNotice, log: presenter.log});
      signal.addEventListener('abort', () => void cluster.close().catch(() => {}));
      presenter.share();
      const closed = cluster.ended.then((end) => {
        exitCode = end.exitCode;
      });
      closed.catch(() => {});
      await cluster.started;
      return {
        closed,
        close: async () => {
          await cluster.close();
          await closed;
        },
      };
    },
  });
  return exitCode;
}
