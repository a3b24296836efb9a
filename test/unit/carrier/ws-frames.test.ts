import {describe, expect, test} from 'vitest';
import {
  closeFrame,
  controlFrame,
  headroomOf,
  OPCODE,
  parseClose,
  type Role,
  writeDataHeader,
} from '../../../src/lib/carrier/ws-frames.js';
import {closeBody, frame} from '../../helpers/ws-bytes.js';

const zeroMask = Buffer.alloc(4);
const roles: readonly Role[] = ['agent', 'relay'];
const masked = (role: Role) => (role === 'agent' ? {mask: zeroMask} : {});

describe.each(roles)('headers that the %s writes', (role) => {
  test.each([1, 125, 126, 127, 65_535, 65_536, 131_072])('before %i bytes', (length) => {
    const start = headroomOf(role) + 3;
    const block = Buffer.alloc(start + length, 0xaa);
    const from = writeDataHeader(role, block, start, length);
    const payload = Buffer.alloc(length, 0xaa);
    expect(block.subarray(from).equals(frame({payload, ...masked(role)}))).toBe(true);
    expect(from).toBeGreaterThanOrEqual(3);
    expect(block.subarray(0, from).every((byte) => byte === 0xaa)).toBe(true);
  });

  test('the longest one fills the headroom exactly', () => {
    const block = Buffer.alloc(headroomOf(role) + 70_000);
    expect(writeDataHeader(role, block, headroomOf(role), 70_000)).toBe(0);
  });

  test('lengths over 32 bits', () => {
    const block = Buffer.alloc(14);
    const from = writeDataHeader(role, block, 14, 2 ** 40 + 7);
    expect(block.readBigUInt64BE(from + 2)).toBe(2n ** 40n + 7n);
  });

  test('control frames', () => {
    const payload = Buffer.from('are you there');
    expect(controlFrame(role, OPCODE.ping, payload)).toEqual(frame({opcode: 9, payload, ...masked(role)}));
    expect(closeFrame(role, 1000)).toEqual(frame({opcode: 8, payload: closeBody(1000), ...masked(role)}));
    expect(closeFrame(role, 1005)).toEqual(frame({opcode: 8, ...masked(role)}));
  });

  test('a close reason is cut between characters to fit a control frame', () => {
    const sent = closeFrame(role, 1002, '€'.repeat(100));
    const {length} = Buffer.from('€'.repeat(41));
    expect(length).toBe(123);
    const payload = closeBody(1002, '€'.repeat(41));
    expect(sent).toEqual(frame({opcode: 8, payload, ...masked(role)}));
  });
});

describe('what a close frame says', () => {
  test.each([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999])(
    '%i',
    (code) => {
      expect(parseClose(closeBody(code, 'grüße'))).toEqual({code, reason: 'grüße'});
    },
  );

  test('nothing', () => {
    expect(parseClose(Buffer.alloc(0))).toEqual({code: 1005, reason: ''});
  });

  test.each([0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535])('%i is refused', (code) => {
    expect(parseClose(closeBody(code))).toMatchObject({closeCode: 1002});
  });

  test('half a code is refused', () => {
    expect(parseClose(Buffer.from([3]))).toMatchObject({closeCode: 1002});
  });

  test.each([
    ['a lone surrogate', [0xed, 0xa0, 0x80]],
    ['an overlong form', [0xc0, 0x80]],
    ['a character cut in two', [0xe2, 0x82]],
  ])('%s in the reason is refused', (_what, bytes) => {
    expect(parseClose(closeBody(1000, Uint8Array.from(bytes)))).toMatchObject({closeCode: 1007});
  });
});
