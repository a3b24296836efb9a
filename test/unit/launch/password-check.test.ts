// The check of passwords and cookies, and the limit of wrong passwords.
import {describe, expect, test} from 'vitest';
import {basic, PasswordCheck, refusalHead} from '../../../src/lib/launch/password-check.js';

const right = {authorization: basic('tunl', 'right')};
const wrong = {authorization: basic('tunl', 'wrong')};

function make() {
  let now = 0;
  const check = new PasswordCheck({user: 'tunl', password: 'right', realm: 'terminal', now: () => now});
  return {check, cookie: check.cookie.split(';')[0] ?? '', pass: (ms: number) => (now += ms)};
}

describe('PasswordCheck', () => {
  test('accepts the password, and the cookie of its answer', () => {
    const {check, cookie} = make();
    expect(check.judge(right)).toBe('password');
    expect(check.judge({cookie: `theme=dark; ${cookie}`})).toBe('cookie');
    expect(check.judge({cookie: `${cookie}0`})).toBe('none');
    expect(check.judge({cookie: '__Host-tunl='})).toBe('none');
    for (const authorization of ['', 'Basic', basic('root', 'right'), 'Bearer right']) {
      expect(check.judge({authorization})).toBe('wrong');
    }
  });

  test('after ten wrong passwords even the right one waits; the cookie does not', () => {
    const {check, cookie, pass} = make();
    for (let i = 0; i < 10; i += 1) expect(check.judge(wrong)).toBe('wrong');
    expect(check.judge(wrong)).toBe('many');
    expect(check.judge(right)).toBe('many');
    expect(check.judge({})).toBe('none');
    expect(check.judge({...wrong, cookie})).toBe('cookie');
    pass(1_999);
    expect(check.judge(right)).toBe('many');
    pass(1);
    expect(check.judge(right)).toBe('password');
    expect(check.judge(wrong)).toBe('wrong');
    expect(check.judge(wrong)).toBe('many');
    pass(3_600_000);
    for (let i = 0; i < 10; i += 1) expect(check.judge(wrong)).toBe('wrong');
    expect(check.judge(wrong)).toBe('many');
  });

  test('a request without a password is not counted', () => {
    const {check} = make();
    for (let i = 0; i < 100; i += 1) expect(check.judge({})).toBe('none');
    expect(check.judge(right)).toBe('password');
  });

  test('each process has a different cookie', () => {
    expect(make().check.judge({cookie: make().cookie})).toBe('none');
  });

  test('refusals', () => {
    const {check} = make();
    expect(check.refusal('cookie')).toBeUndefined();
    expect(check.refusal('password')).toBeUndefined();
    expect(check.refusal('wrong')).toEqual(check.refusal('none'));
    const none = check.refusal('none');
    expect(none && refusalHead(none)).toBe(
      'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm="terminal", charset="UTF-8"\r\n' +
        'connection: close\r\ncontent-length: 0\r\n\r\n',
    );
    expect(check.refusal('many')).toMatchObject({status: 429, headers: {'retry-after': '2'}});
  });
});
