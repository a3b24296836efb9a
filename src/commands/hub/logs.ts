// `tunl hub logs`: shows the output of a session, without its token.

import {StringDecoder} from 'node:string_decoder';
import {string} from '@oclif/core/args';
import {boolean} from '@oclif/core/flags';
import {BaseCommand} from '../../lib/cli/base-command.js';
import type {Presenter} from '../../lib/cli/presenter.js';
import {TextEvents} from '../../lib/cli/sandbox/text-events.js';
import {isTerminal, onReaderGone, roomOnStdout, writeBytes} from '../../lib/cli/stdout.js';
import {forTerminal} from '../../lib/core/one-line.js';
import {stateDir} from '../../lib/core/state-dir.js';
import {askHub} from '../../lib/hub/operator.js';

export default class HubLogs extends BaseCommand {
  static override summary = 'Show the last output of a session.';
  static override usage = 'hub logs [-f] ID';
  static override examples = ['<%= config.bin %> hub logs -f s_7k2mq4ab'];
  static override args = {
    id: string({required: true, ignoreStdin: true, description: 'The ID in `tunl hub ps`.'}),
  };
  static override flags = {follow: boolean({char: 'f', summary: 'Show new output too, until it ends.'})};

  async run(): Promise<void> {
    const {args, flags} = await this.parse(HubLogs);
    const gone = new AbortController();
    using _reader = onReaderGone(() => gone.abort());
    const path = `/v1/sessions/${encodeURIComponent(args.id)}/logs${flags.follow ? '?follow=true' : ''}`;
    const response = await askHub(stateDir(), 'GET', path, {signal: gone.signal});
    const show = flags.json ? asEvents(args.id, this.presenter) : asBytes();
    try {
      for await (const piece of response as AsyncIterable<Buffer>) await show(piece);
    } catch (error) {
      if (!gone.signal.aborted) throw error;
    }
  }
}

function asEvents(id: string, {event}: Presenter): (piece: Buffer) => Promise<void> {
  const texts = new TextEvents((_from, text) => event({type: 'hub-output', id, text}));
  return async (piece) => {
    texts.write('stdout', piece);
    await roomOnStdout();
  };
}

/** The operator's terminal must not obey the programs of users. A file gets the bytes as they are. */
function asBytes(): (piece: Buffer) => Promise<void> {
  if (!isTerminal()) return writeBytes;
  const decoder = new StringDecoder('utf8');
  return async (piece) => await writeBytes(Buffer.from(forTerminal(decoder.write(piece))));
}
