// What a machine lacks for a seal, and the command that mends it.
import {describe, expect, test} from 'vitest';
import {holderObstacle, isPrivileged, namespaceObstacle} from '../../../src/lib/seal/obstacles.js';

const files = (texts: Record<string, string>) => (path: string) => texts[path] ?? '';

describe('why there is no namespace', () => {
  test.each([
    [{'/proc/sys/kernel/unprivileged_userns_clone': '0\n'}, /kernel.unprivileged_userns_clone=1/],
    [{'/proc/sys/user/max_user_namespaces': '0\n'}, /user.max_user_namespaces=/],
    [{'/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n'}, /apparmor_parser/],
    [{}, /--cap-add SYS_ADMIN/],
  ])('%j', (texts, mend) => {
    const obstacle = namespaceObstacle(
      'unshare: unshare failed: Operation not permitted\nmore',
      files(texts),
    );
    expect(obstacle.mend).toMatch(mend);
    expect(obstacle.why).toContain('Operation not permitted');
    expect(obstacle.why).not.toContain('more');
  });
});

test('a failure of nft names its modules', () => {
  expect(holderObstacle(73, 'Error: Could not process rule: No such file or directory')).toMatchObject({
    why: expect.stringContaining('Could not process rule'),
    mend: expect.stringContaining('modprobe'),
  });
});

test.each([
  [81, /IPv6/, /ipv6.disable/],
  [82, /device/, /modprobe veth/],
  [83, /names and addresses/, /tunl net forward/],
  [84, /names and addresses/, /tunl net forward/],
])('the code %d of a private network says why, and what to do', (code, why, mend) => {
  expect(holderObstacle(code, 'RTNETLINK answers: Operation not supported\n')).toMatchObject({
    why: expect.stringMatching(why),
    mend: expect.stringMatching(mend),
  });
  expect(holderObstacle(code, 'RTNETLINK answers: Operation not supported').why).toContain('RTNETLINK');
});

test.each([
  ['000001ffffffffff', true],
  ['0000000000201000', true],
  ['0000000000200000', false],
  ['0000000000001000', false],
  ['0000000000000000', false],
])('capabilities %s: %s', (caps, isEnough) => {
  expect(isPrivileged(`Name:\tnode\nCapEff:\t${caps}\nCapBnd:\t000001ffffffffff\n`)).toBe(isEnough);
});
