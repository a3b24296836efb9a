// The words after `--` as people write them for a shell: the error says how tunl starts them.

import {expect, test} from 'vitest';
import {find} from '../../../src/lib/launch/find.js';
import {command} from '../../../src/lib/launch/programs/command.js';

const failure = async (bin: string) =>
  await find(command({argv: [bin, 'start'], portGiven: false}), {PATH: '/nonexistent'}).catch(
    (error) => error,
  );

test.each([
  ['PORT=3000', '`env PORT=… COMMAND`'],
  ['cd app && npm start', '`sh -c '],
  ['npm start | tee log', '`sh -c '],
  ['npm start > log', '`sh -c '],
  ['cd', '`sh -c '],
  ['cd app', '`sh -c '],
  ['export', '`sh -c '],
  ['npm run dev', 'as separate words'],
  ['no-such-program', 'Check the spelling of no-such-program'],
])('%s', async (bin, next) => {
  const error = await failure(bin);
  expect(error.code).toBe('PROGRAM_MISSING');
  expect(error.next).toContain(next);
});

test('the value of a variable is not repeated', async () => {
  const {message, next} = await failure('API_KEY=hunter2');
  expect(message).toBe('API_KEY=… was not found.');
  expect(`${message} ${next}`).not.toContain('hunter2');
});
