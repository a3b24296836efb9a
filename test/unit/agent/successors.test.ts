// The addresses to which a relay may send an agent, and with it the token.
import {expect, test} from 'vitest';
import {Successors} from '../../../src/lib/agent/successors.js';

const at = (home: string, ...allowed: string[]) => new Successors({home, allowed});

/** The URLs that the agent follows. */
const followed = (successors: Successors, ...urls: string[]) => successors.judge(urls).followed;

test('to the relay’s own host, on any port, and to names below it', () => {
  const urls = ['https://r1.example.net:8443', 'https://b.r1.example.net', 'https://R1.Example.Net.:444'];
  const {followed: to, refused} = at('https://r1.example.net').judge(urls);
  expect(to).toHaveLength(3);
  expect(refused).toBeUndefined();
});

test.each([
  'https://example.net',
  'https://r2.example.net',
  'https://evil-r1.example.net',
  'https://r1.example.net.evil.test',
  'https://evil.test',
  'https://8.8.8.8',
  'https://127.0.0.1:8443',
  'https://localhost',
  'https://x.localhost',
  'https://[::1]',
  'https://[::ffff:127.0.0.1]',
  'http://r1.example.net',
  'https://user:secret@r1.example.net',
  'https://r1.example.net/path',
  'r1.example.net',
  'https://r1.example.net:0',
  '',
])('never to %j', (url) => {
  const {followed: to, refused} = at('https://r1.example.net').judge([url]);
  expect(to).toEqual([]);
  expect(refused).toMatchObject({code: 'SUCCESSOR_REFUSED'});
});

test('to hosts that the user has allowed, and names below them', () => {
  const successors = at('https://r1.example.net', 'relay-b.example.net', 'Other.Test.');
  expect(
    followed(
      successors,
      'https://relay-b.example.net:8443',
      'https://x.other.test',
      'https://another.test',
      'https://relay-c.example.net',
    ),
  ).toEqual(['https://relay-b.example.net:8443', 'https://x.other.test']);
});

test('a refusal is reported in one line, without control characters', () => {
  const {refused} = at('https://r1.example.net').judge(['https://evil.test\u001b[2J', 'https://b.test']);
  expect(refused?.message).toBe(
    'The relay sends this agent to https://evil.test [2J which is no https address of a relay (and 1 more): it does not go there.',
  );
});

test('an allowed address in a private network is followed from such a network only', () => {
  expect(followed(at('https://r1.example.net', '10.0.0.2'), 'https://10.0.0.2')).toEqual([]);
  expect(followed(at('https://10.0.0.1', '10.0.0.2'), 'https://10.0.0.2')).toEqual(['https://10.0.0.2']);
  expect(followed(at('https://127.0.0.1:1'), 'https://127.0.0.1:2')).toEqual(['https://127.0.0.1:2']);
  expect(followed(at('https://r1.localhost:1'), 'https://r1.localhost:2')).toEqual([
    'https://r1.localhost:2',
  ]);
  // An address has no names below it.
  expect(followed(at('https://10.0.0.1'), 'https://2.10.0.0.1')).toEqual([]);
});

test('a name may lead to public addresses, and to addresses of the kind of its own relay', () => {
  const successors = at('https://r1.example.net');
  const addresses = ['8.8.8.8', '10.0.0.1', '127.0.0.1', '169.254.169.254', '64:ff9b::a00:1'];
  const accepted = () => addresses.filter(successors.accepts);
  expect(accepted()).toEqual(['8.8.8.8']);
  successors.reachedHome('10.9.9.9');
  expect(accepted()).toEqual(['8.8.8.8', '10.0.0.1', '64:ff9b::a00:1']);
  // Unknown, as through a proxy: the last known kind stays.
  successors.reachedHome(undefined);
  expect(accepted()).toEqual(['8.8.8.8', '10.0.0.1', '64:ff9b::a00:1']);
  successors.reachedHome('8.8.4.4');
  expect(accepted()).toEqual(['8.8.8.8']);
});
