// `tunl sandbox run`: a sandbox that this process owns, from its start to its end, or one of a process of its own.

import {TunlError} from '../../core/errors.js';
import type {SandboxControl, SandboxEnd} from '../../sandbox/control.js';
import {endedError} from '../../sandbox/end-reason.js';
import type {SandboxEvent} from '../../sandbox/events.js';
import type {SandboxOptions} from '../../sandbox/options.js';
import {given} from '../flags.js';
import {hold} from '../hold.js';
import {outputValve} from '../output-valve.js';
import type {Presenter} from '../presenter.js';
import {stopSignal} from '../stop-signal.js';
import {exitCodeAfter} from './exit-code.js';
import {type Asked, finishedEvent, portEvent, startedEvent} from './facts.js';

export interface RunOptions {
  readonly command: readonly string[];
  readonly options: SandboxOptions;
  readonly asked: Asked;
  readonly presenter: Presenter;
}

/** Resolves to the exit code when the sandbox has ended. @throws TunlError the reason why it does not run, or was lost */
export async function runHere({command, options, asked, presenter}: RunOptions): Promise<number> {
  const {beginServed} = await import('../../sandbox/begin.js');
  const show = outputValve(presenter.output);
  let over: {id: string; end: SandboxEnd} | undefined;
  let failure: unknown;
  await hold({
    // The sandbox itself gives its command time.
    drainTimeoutMs: 0,
    passesOutput: true,
    onReaderGone: presenter.readerGone,
    onLeave: () => presenter.end(),
    open: async (signal) => {
      presenter.begin('starting the sandbox');
      const {host, closed: unserved} = await beginServed(
        command,
        {...options, log: presenter.log, signal, onEvent: (event) => showRefusal(event, presenter)},
        {onOutput: ({bytes}) => show(bytes)},
      );
      host.stdin.end();
      await host.started;
      presenter.share();
      presenter.event(startedEvent(host.snapshot, asked, false));
      const closed = host.ended.then(async (end) => {
        over = {id: host.id, end};
        await unserved;
      });
      void showPorts(host, presenter).catch((error: unknown) => {
        failure = error;
        void host.terminate();
      });
      const close = async () => {
        await host.terminate();
        await closed;
      };
      return {closed, close};
    },
  });
  if (failure !== undefined) throw failure;
  if (over === undefined) return 0;
  const {id, end} = over;
  if (end.reason === 'lost') throw endedError(end);
  presenter.event(finishedEvent(id, end));
  return exitCodeAfter(end);
}

/** Resolves when the sandbox answers in the background. @throws TunlError the reason why it does not; then it has ended */
export async function runDetached({command, options, asked, presenter}: RunOptions): Promise<number> {
  const {startSupervisor} = await import('../../sandbox/supervisor/start.js');
  presenter.begin('starting the sandbox');
  using stop = stopSignal();
  const remote = await startSupervisor(command, {...options, signal: stop.signal});
  const terminate = () => void remote.terminate().catch(() => {});
  stop.signal.addEventListener('abort', terminate);
  // It may have come when the supervisor had just answered.
  if (stop.signal.aborted) terminate();
  try {
    await remote.started();
    presenter.event(startedEvent(await remote.info(), asked, true));
    await showPorts(remote, presenter);
    presenter.tell({tone: 'faint', text: usesOf(remote.id)});
  } catch (error) {
    const isMissing = error instanceof TunlError && error.code === 'SANDBOX_ENDED';
    if (!isMissing) await remote.terminate().catch(() => {});
    if (stop.signal.aborted) throw new TunlError('ABORTED', {cause: error});
    throw error;
  } finally {
    stop.signal.removeEventListener('abort', terminate);
    remote.close();
  }
  return 0;
}

function showRefusal(event: SandboxEvent, presenter: Presenter): void {
  if (event.type !== 'refused') return;
  const {id, host, port, why, untold} = event;
  presenter.event({type: 'refused', id, host, ...given({port}), why, untold});
}

function usesOf(id: string): string {
  return `tunl sandbox exec -it ${id} -- sh, logs -f ${id}, stop ${id}`;
}

/** Prints the addresses when the first port answers. A command may end before. @throws TunlError why a port has no address */
async function showPorts(control: SandboxControl, presenter: Presenter): Promise<void> {
  try {
    const tunnels = await control.tunnels();
    await control.ready();
    for (const tunnel of tunnels) presenter.event(portEvent(control.id, tunnel));
  } catch (error) {
    if (!(error instanceof TunlError) || error.code !== 'SANDBOX_ENDED') throw error;
    // With --detach the caller learns why: the sandbox does not go on.
    if (!('snapshot' in control)) throw error;
  }
}
