// Messages and questions between two processes.

import {expect, test} from 'vitest';
import {Talk} from '../../../../src/lib/relay/workers/talk.js';
import {channelPair} from '../../../helpers/channel-pair.js';

interface Questions {
  double: {about: {number: number}; answer: number};
  fail: {about: object; answer: number};
  never: {about: object; answer: number};
}
type Message = {text: string};

function setUp() {
  const {one, other, cut} = channelPair();
  const heard: string[] = [];
  const asker = new Talk<Message, Message, Questions, object>({
    channel: one,
    onMessage: () => {},
    answers: {},
  });
  new Talk<Message, Message, object, Questions>({
    channel: other,
    onMessage: ({text}) => heard.push(text),
    answers: {
      double: ({number}) => Promise.resolve(2 * number),
      fail: () => Promise.reject(new Error('no')),
      never: () => new Promise(() => {}),
    },
  });
  return {asker, heard, cut};
}

test('questions get their own answers, and messages come in order before later questions', async () => {
  const {asker, heard} = setUp();
  asker.tell({text: 'a'});
  asker.tell({text: 'b'});
  const answers = await Promise.all([asker.ask('double', {number: 1}), asker.ask('double', {number: 21})]);
  expect(answers).toEqual([2, 42]);
  expect(heard).toEqual(['a', 'b']);
});

test('a failure on the other side rejects the question, and only that one', async () => {
  const {asker} = setUp();
  await expect(asker.ask('fail', {})).rejects.toThrow('no');
  expect(await asker.ask('double', {number: 3})).toBe(6);
});

test('the end of the other process rejects open and later questions, and messages are lost', async () => {
  const {asker, heard, cut} = setUp();
  const open = asker.ask('never', {});
  cut();
  await expect(open).rejects.toThrow('gone');
  await expect(asker.ask('double', {number: 1})).rejects.toThrow('gone');
  const isSent = await new Promise((resolve) => asker.tell({text: 'late'}, undefined, resolve));
  expect([isSent, heard]).toEqual([false, []]);
});
