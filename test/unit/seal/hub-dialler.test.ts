import {expect} from 'vitest';
import {startHubDialler} from '../../../src/lib/seal/fabric/hub-dialler.js';
import {test} from '../../helpers/test.js';

test('a program that cannot enter the namespace is told of', async () => {
  const ended = Promise.withResolvers<string>();
  const noFile = 1_000_000;
  startHubDialler(
    {user: undefined, net: noFile},
    {onAnswer: () => ended.resolve('answered'), onEnded: () => ended.resolve('ended')},
  );
  expect(await ended.promise).toBe('ended');
});
