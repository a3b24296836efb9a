// The output of a session as an answer.

import type {Sessions} from '../sessions.js';
import {type LongAnswer, type LongAnswers, writeAll} from './long-answers.js';

export interface LogsAnswer extends LongAnswer {
  readonly id: string;
  readonly follow: boolean;
  /** Aborts when the client has gone. */
  readonly gone: AbortSignal;
}

/** @throws TunlError HUB_SESSION_UNKNOWN */
export async function sendLogs(sessions: Sessions, open: LongAnswers, answer: LogsAnswer): Promise<void> {
  const {res, id, follow, gone} = answer;
  const sandbox = sessions.sandboxOf(id);
  res.writeHead(200, {'Content-Type': 'text/plain; charset=utf-8'});
  if (res.req.method === 'HEAD') {
    res.end();
    return;
  }
  if (sandbox === undefined) {
    const lines = sessions.view(id)?.end?.tail.map((line) => `${line}\n`);
    res.end(lines?.join('') ?? '');
    return;
  }
  open.add(answer);
  const hide = sessions.hiderOf(id);
  for await (const {bytes} of sandbox.logs({follow, signal: gone})) {
    const text = hide.push(bytes);
    if (text.length > 0 && !(await writeAll(answer, text, gone))) return;
  }
  if (await writeAll(answer, hide.end(), gone)) res.end();
}
