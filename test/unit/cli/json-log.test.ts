// Diagnostics and events as one JSON object a line.

import {expect, test} from 'vitest';
import {jsonLogLine} from '../../../src/lib/cli/json-log.js';
import {Presenter} from '../../../src/lib/cli/presenter.js';
import {PlainRenderer} from '../../../src/lib/cli/renderers/plain.js';

const now = new Date('2026-03-01T10:00:00.000Z');

test('a record with its event and fields', () => {
  const line = jsonLogLine(
    {level: 'info', scope: 'relay', message: 'agent gone', event: 'agent-gone', fields: {session: 'a1'}},
    now,
  );
  expect(line).toBe(
    '{"time":"2026-03-01T10:00:00.000Z","level":"info","event":"agent-gone","scope":"relay","message":"agent gone","session":"a1"}',
  );
});

test('a field replaces nothing, and text of a peer stays in its line', () => {
  const fields = {level: 'error', time: 'never', reason: 'a\n{"level":"error"}\u202e', cause: new Error('b')};
  const line = jsonLogLine({level: 'debug', scope: 'relay', message: 'm', fields}, now);
  expect(line).not.toMatch(/[\n\u202e]/);
  expect(JSON.parse(line)).toEqual({
    time: now.toISOString(),
    level: 'debug',
    scope: 'relay',
    message: 'm',
    reason: 'a\n{"level":"error"} ',
    cause: 'b',
  });
});

test('a presenter that logs JSON writes nothing else', async () => {
  const plain: string[] = [];
  const lines: string[] = [];
  const presenter = new Presenter(new PlainRenderer((piece) => plain.push(String(piece))), {
    json: false,
    quiet: false,
    logLevel: 'info',
  });
  await presenter.logAsJson((line) => void lines.push(line));
  presenter.event({type: 'draining', connections: 2, timeoutMs: 1_000});
  presenter.tell({tone: 'warning', text: 'careful'});
  presenter.log({level: 'info', scope: 'relay', message: 'link lost', event: 'agent-away'});
  presenter.log({level: 'debug', scope: 'relay', message: 'hidden'});
  expect(plain).toEqual([]);
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    {level: 'info', event: 'draining', connections: 2, timeoutMs: 1_000},
    {level: 'warn', message: 'careful'},
    {level: 'info', event: 'agent-away', message: 'link lost'},
  ]);
});
