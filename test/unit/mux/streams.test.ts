// The streams of a session alone: the effects of the peer's frames, and the answers.

import {describe, expect, test} from 'vitest';
import type {Stream} from '../../../src/lib/mux/stream.js';
import {Streams, type StreamsOptions} from '../../../src/lib/mux/streams.js';
import {WindowBudget} from '../../../src/lib/mux/window-budget.js';
import {encodeMessage} from '../../../src/lib/protocol/control-messages.js';
import {FRAME, KIND, LIMITS} from '../../../src/lib/protocol/wire.js';
import {ManualClock} from '../../helpers/manual-clock.js';

function setUp(options: Partial<StreamsOptions> = {}) {
  const sent: [type: number, streamId: number, payload: string][] = [];
  const violations: (string | undefined)[] = [];
  const offered: Stream[] = [];
  const control: string[] = [];
  const streams = new Streams({
    role: 'relay',
    clock: new ManualClock(),
    windowBudget: new WindowBudget(2 ** 30),
    maxStreams: 3,
    sink: {
      onOpen: (stream) => void offered.push(stream),
      onControl: (payload) => void control.push(payload.toString()),
    },
    sender: {
      link: undefined,
      sendFrame: (type, streamId, payload) => void sent.push([type, streamId, payload.toString()]),
      sendData: (stream, chunk) => void sent.push([FRAME.data, stream.id, chunk.toString()]),
      adoptBlock: () => {},
      sendFin: (stream) => void sent.push([FRAME.fin, stream.id, '']),
      sendLastReset: (stream, payload) => void sent.push([FRAME.reset, stream.id, payload.toString()]),
      mayWrite: () => true,
      wakeLater: () => {},
      forget: () => {},
      drop: () => {},
    },
    onViolation: (_reason, code) => void violations.push(code),
    ...options,
  });
  const opened = () => {
    const stream = streams.open(KIND.visitor, {});
    if (stream === undefined) throw new Error('no stream');
    return stream;
  };
  return {streams, sent, violations, offered, control, opened};
}

const NOTHING = Buffer.alloc(0);
const OPEN = Buffer.concat([Buffer.from([KIND.visitor]), Buffer.from('{}')]);

describe('opened here', () => {
  test('a stream is sent to the peer with its kind and its content', () => {
    const {streams, sent} = setUp();
    streams.open(KIND.visitor, {tunnel: 1});
    expect(sent).toEqual([[FRAME.open, 1, `${String.fromCharCode(KIND.visitor)}{"tunnel":1}`]]);
    expect(streams.size).toBe(1);
  });

  test('the number of open streams is limited', () => {
    const {streams, opened} = setUp();
    const first = opened();
    opened();
    opened();
    expect(streams.open(KIND.visitor, {})).toBeUndefined();
    first.reset('CANCELLED');
    expect(opened().id).toBe(7);
  });

  test('an OPEN with too much content is our own mistake, and uses no id', () => {
    const {streams, opened} = setUp();
    expect(() => streams.open(KIND.visitor, {text: 'x'.repeat(LIMITS.openBytes)})).toThrow(RangeError);
    expect(opened().id).toBe(1);
  });

  test('without a link it waits until it is answered, or closed', () => {
    const {streams, opened} = setUp();
    const [first, second] = [opened(), opened()];
    expect(streams.waitingCount).toBe(2);
    streams.onFrame(FRAME.opened, first.id, NOTHING);
    expect(streams.waitingCount).toBe(1);
    streams.onFrame(FRAME.refused, second.id, encodeMessage({code: 'CANCELLED'}));
    expect(streams.waitingCount).toBe(0);
  });
});

describe('opened by the peer', () => {
  test('a stream is offered', () => {
    const {streams, offered, sent} = setUp();
    streams.onFrame(FRAME.open, 2, OPEN);
    offered[0]?.accept();
    expect(offered.map(({id, state}) => [id, state])).toEqual([[2, 'open']]);
    expect(sent).toEqual([[FRAME.opened, 2, '']]);
  });

  test.each([
    ['of a kind that is not known', Buffer.from([250]), 'KIND_UNKNOWN'],
    ['one too many', OPEN, 'TOO_MANY_STREAMS'],
  ])('one %s is refused', (_what, payload, code) => {
    const {streams, offered, sent, violations} = setUp({maxStreams: code === 'KIND_UNKNOWN' ? 3 : 0});
    streams.onFrame(FRAME.open, 2, payload);
    expect(sent).toEqual([[FRAME.refused, 2, JSON.stringify({code})]]);
    expect(offered).toEqual([]);
    expect(violations).toEqual([]);
    // Data that followed the OPEN before the answer came.
    expect(streams.onDataStart(2, 10)).toBe(false);
    expect(violations).toEqual([]);
  });

  test('with an id of the other side, or a used one, it is a violation', () => {
    const {streams, violations} = setUp();
    streams.onFrame(FRAME.open, 1, OPEN);
    streams.onFrame(FRAME.open, 4, OPEN);
    streams.onFrame(FRAME.open, 2, OPEN);
    expect(violations).toEqual(['STREAM_REUSED', 'STREAM_REUSED']);
  });
});

describe('frames', () => {
  test('for a closed stream are ignored, for one that never existed a violation', () => {
    const {streams, opened, violations} = setUp();
    const stream = opened();
    stream.reset('CANCELLED');
    streams.onFrame(FRAME.fin, stream.id, NOTHING);
    expect(streams.onDataStart(stream.id, 1)).toBe(false);
    expect(violations).toEqual([]);
    streams.onFrame(FRAME.fin, 99, NOTHING);
    expect(streams.onDataStart(99, 1)).toBe(false);
    expect(violations).toEqual(['STREAM_UNKNOWN', 'STREAM_UNKNOWN']);
  });

  test('that are not allowed in this state are violations, each with its own code', () => {
    const {streams, opened, violations} = setUp();
    const {id} = opened();
    streams.onFrame(FRAME.fin, id, NOTHING);
    expect(streams.onDataStart(id, 1)).toBe(false);
    streams.onFrame(FRAME.opened, id, NOTHING);
    expect(streams.onDataStart(id, LIMITS.maxCredit)).toBe(false);
    streams.onFrame(FRAME.credit, id, Buffer.from([0, 0, 0, 0]));
    expect(violations).toEqual(['STREAM_STATE', 'STREAM_STATE', 'WINDOW_EXCEEDED', 'CREDIT_RANGE']);
  });

  test('a refusal reaches its stream with its code', () => {
    const {streams, opened} = setUp();
    const stream = opened();
    const codes: string[] = [];
    stream.sink = {
      onData: () => {},
      onEnd: () => {},
      onWritable: () => {},
      onReset: (code) => codes.push(code),
    };
    streams.onFrame(FRAME.refused, stream.id, encodeMessage({code: 'TUNNEL_UNKNOWN'}));
    expect(codes).toEqual(['TUNNEL_UNKNOWN']);
    expect(streams.size).toBe(0);
  });

  test('data of a stream that is reset in the middle of it is discarded', () => {
    const {streams, opened} = setUp();
    const stream = opened();
    let heard = '';
    stream.sink = {
      onData: (piece) => {
        heard += piece.toString();
        stream.reset('CANCELLED');
      },
      onEnd: () => {},
      onWritable: () => {},
      onReset: () => {},
    };
    streams.onFrame(FRAME.opened, stream.id, NOTHING);
    expect(streams.onDataStart(stream.id, 6)).toBe(true);
    streams.onData(Buffer.from('one'));
    streams.onData(Buffer.from('two'));
    expect(heard).toBe('one');
  });

  test('a control message goes to the owner', () => {
    const {streams, control} = setUp();
    streams.onFrame(FRAME.control, 0, Buffer.from('{}'));
    expect(control).toEqual(['{}']);
  });
});

test('when the session is over every stream is told once, and the peer gets nothing more', () => {
  const {streams, opened, sent} = setUp();
  const codes: string[] = [];
  for (const stream of [opened(), opened()]) {
    stream.sink = {
      onData: () => {},
      onEnd: () => {},
      onWritable: () => {},
      onReset: (code) => codes.push(code),
    };
  }
  sent.length = 0;
  streams.abandon();
  streams.abandon();
  expect(codes).toEqual(['SESSION_ENDED', 'SESSION_ENDED']);
  expect(sent).toEqual([]);
  expect([streams.size, streams.waitingCount]).toEqual([0, 0]);
});
