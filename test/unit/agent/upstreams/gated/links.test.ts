import {afterEach, beforeEach, expect, test, vi} from 'vitest';
import {Link} from '../../../../../src/lib/agent/upstreams/gated/links.js';

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('the time of a link goes on while the machine sleeps', () => {
  const link = new Link('a'.repeat(40), {expiresMs: DAY_MS});
  const expired = vi.fn();
  link.watch(expired);
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(Date.now() + DAY_MS);
  vi.advanceTimersByTime(60_000);
  expect(expired).toHaveBeenCalledOnce();
});
