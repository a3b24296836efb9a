// The messages that the server accepts from a page.
import {expect, test} from 'vitest';
import {readPageMessage} from '../../../../src/lib/launch/web-terminal/messages.js';

test('acknowledgements and sizes', () => {
  expect(readPageMessage('{"type":"ack","bytes":5}')).toEqual({type: 'ack', bytes: 5});
  expect(readPageMessage('{"type":"size","cols":80,"rows":24}')).toEqual({
    type: 'size',
    size: {cols: 80, rows: 24},
  });
  expect(readPageMessage('{"type":"size"}')).toEqual({type: 'size', size: undefined});
});

test('a size has bounds: a page cannot make the screen useless for others, or use too much memory', () => {
  const size = (cols: number, rows: number) => readPageMessage(JSON.stringify({type: 'size', cols, rows}));
  expect(size(1, 0)).toEqual({type: 'size', size: {cols: 20, rows: 5}});
  expect(size(1e9, 1e9)).toEqual({type: 'size', size: {cols: 500, rows: 200}});
});

test.each([
  '',
  'null',
  '[]',
  '{"type":"other"}',
  '{"type":"ack"}',
  '{"type":"ack","bytes":-1}',
  '{"type":"ack","bytes":1.5}',
  '{"type":"ack","bytes":"1"}',
  '{"type":"size","cols":80}',
  '{"type":"size","cols":null,"rows":null}',
  '{"type":"size","cols":80,"rows":-24}',
])('%s is no message', (text) => {
  expect(readPageMessage(text)).toBeUndefined();
});
