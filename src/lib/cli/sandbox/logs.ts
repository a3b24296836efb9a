// `tunl sandbox logs`: the output of a sandbox's command, from its owner or from its folder.

import {stateDir} from '../../core/state-dir.js';
import type {LogPiece} from '../../sandbox/control.js';
import {keptOutput} from '../../sandbox/kept-output.js';
import {RemoteSandbox} from '../../sandbox/remote.js';
import {SandboxRoster} from '../../sandbox/roster.js';
import {bytes as size} from '../format.js';
import type {Presenter} from '../presenter.js';
import {writeStderr} from '../stderr.js';
import {onReaderGone, roomOnStdout, writeBytes} from '../stdout.js';
import {finishedEvent} from './facts.js';
import {TextEvents} from './text-events.js';

export interface LogsOptions {
  readonly follow: boolean;
  readonly json: boolean;
  readonly presenter: Presenter;
}

/** As with docker, stdout goes to stdout and stderr to stderr. @throws TunlError SANDBOX_UNKNOWN, SANDBOX_SILENT */
export async function showLogs(word: string, {follow, json, presenter}: LogsOptions): Promise<void> {
  const roster = new SandboxRoster(stateDir());
  const listed = await roster.find(word);
  const {id} = listed.journal;
  const gone = new AbortController();
  using _reader = onReaderGone(() => gone.abort());
  const show = json ? asEvents(id, presenter) : asBytes(presenter);
  if (listed.life === 'ended') {
    for (const piece of await keptOutput(listed.folder)) await show(piece);
  } else {
    using sandbox = await RemoteSandbox.open(roster, listed);
    for await (const piece of sandbox.logs({follow, signal: gone.signal})) await show(piece);
  }
  const {end} = (await roster.find(id)).journal;
  if (end !== undefined && !gone.signal.aborted) presenter.event(finishedEvent(id, end));
}

function asEvents(id: string, {event}: Presenter): (piece: LogPiece) => Promise<void> {
  const texts = new TextEvents((from, text) => event({type: 'output', id, from, text}));
  return async ({from, bytes}) => {
    texts.write(from, bytes);
    await roomOnStdout();
  };
}

function asBytes({tell}: Presenter): (piece: LogPiece) => Promise<void> {
  return async ({from, bytes, lostBytes = 0}) => {
    if (lostBytes > 0) tell({tone: 'faint', text: `[${size(lostBytes)} of output are no longer kept]`});
    if (from === 'stdout') await writeBytes(bytes);
    else await writeStderr(bytes);
  };
}
