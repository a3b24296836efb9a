import {Writable} from 'node:stream';
import {afterEach, beforeEach, describe, expect, test, vi} from 'vitest';
import type {ReadyEvent, TunnelEvent} from '../../../src/lib/agent/events.js';
import type {CliEvent} from '../../../src/lib/cli/events.js';
import {
  chooseRenderer,
  createPresenter,
  Presenter,
  type PresenterOptions,
} from '../../../src/lib/cli/presenter.js';
import {LiveRenderer} from '../../../src/lib/cli/renderers/live.js';
import {NOTHING_YET, nextState} from '../../../src/lib/cli/tunnel-state.js';
import {eventually} from '../../helpers/eventually.js';
import {parseEvent} from '../../project/event-schema.js';

const READY: ReadyEvent = {
  type: 'ready',
  address: 'https://abc.r1.example.net',
  url: 'https://abc.r1.example.net',
  tls: {host: 'abc.r1.example.net', port: 443},
  upstream: 'localhost:8000',
  relay: {url: 'https://r1.example.net', embedded: false},
  h2: false,
};
const EMBEDDED: ReadyEvent = {
  ...READY,
  address: 'https://abc.tunl.localhost:4433',
  url: 'https://abc.tunl.localhost:4433',
  relay: {url: 'https://tunl.localhost:4433', embedded: true, caFile: '/home/dev/my state/ca.pem'},
};
const VISIT = {type: 'connection', id: 1, visitor: '203.0.113.7:50123', via: 'tls'} as const;
const STORY: TunnelEvent[] = [
  READY,
  {...VISIT, state: 'open', bytesIn: 0, bytesOut: 0, durationMs: 0},
  {
    type: 'reconnecting',
    state: 'away',
    code: 'RELAY_LOST',
    reason: 'gone',
    attempt: 1,
    delayMs: 90,
    connections: 2,
    keptForMs: 60_000,
  },
  {type: 'resumed', awayMs: 3104, resumed: 2, lost: 0},
  {type: 'notice', code: 'UPSTREAM_REFUSED', message: 'localhost:8000 does not accept connections.'},
  {...VISIT, state: 'closed', bytesIn: 312, bytesOut: 5120, durationMs: 41},
  {type: 'draining', connections: 1, timeoutMs: 5000},
  {type: 'closed', connections: 41},
];

let out = '';
let err = '';
beforeEach(() => {
  out = '';
  err = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += text;
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    err += text;
    return true;
  });
});
afterEach(() => void vi.restoreAllMocks());

async function tell(options: Partial<PresenterOptions>, events: readonly TunnelEvent[] = STORY) {
  const presenter = await createPresenter(
    {json: false, quiet: false, ...options},
    {env: {}, stderrIsTTY: false},
  );
  presenter.begin('connecting');
  for (const event of events) presenter.event(event);
  presenter.end();
  return presenter;
}

describe('chooseRenderer', () => {
  const around = (env: Record<string, string>, stderrIsTTY = true) => ({
    env: {TERM: 'xterm', ...env},
    stderrIsTTY,
  });
  const options = {json: false, quiet: false};

  test.each([
    [around({}), 'live'],
    [around({CI: 'false'}), 'live'],
    [around({NO_COLOR: ''}), 'live'],
    [around({}, false), 'plain'],
    [around({CI: 'true'}), 'plain'],
    [around({CI: '1'}), 'plain'],
    [around({NO_COLOR: '1'}), 'live'],
    [around({TERM: 'dumb'}), 'plain'],
    [around({ACCESSIBLE: '1'}), 'spoken'],
    [around({ACCESSIBLE: '1', CI: '1'}, false), 'spoken'],
    [around({ACCESSIBLE: '0'}), 'live'],
  ])('%j: %s', (surroundings, name) => {
    expect(chooseRenderer(options, surroundings)).toBe(name);
  });

  test('--plain', () => {
    expect(chooseRenderer({...options, plain: true}, around({}))).toBe('plain');
  });

  test('--json has priority over -q, and -q over everything else', () => {
    expect(chooseRenderer({json: true, quiet: true}, around({}))).toBe('json');
    expect(chooseRenderer({json: false, quiet: true}, around({}))).toBe('quiet');
  });
});

const untimed = (lines: string) => lines.replaceAll(/^\d\d:\d\d:\d\d {2}/gm, '');

describe('plain', () => {
  test('stdout has the address and nothing else', async () => {
    await tell({});
    expect(out).toBe('https://abc.r1.example.net\n');
  });

  test('stderr reports the events in lines', async () => {
    await tell({});
    expect(untimed(err)).toMatchInlineSnapshot(`
      "Visitors reach localhost:8000 through the relay https://r1.example.net.
      Ctrl+C stops it.
      tls  203.0.113.7:50123  open
      warning: link lost, keeping 2 connections for 60 s
      link back after 3.1 s, 2 connections resumed, 0 lost
      warning: localhost:8000 does not accept connections.
      tls  203.0.113.7:50123  closed  41 ms  in 312 B  out 5.1 kB
      closing: 1 open connection may finish within 5 s; Ctrl+C again leaves at once
      closed after 41 connections
      "
    `);
  });

  test.each<[string, Partial<ReadyEvent>, string | undefined]>([
    ['a page', {}, 'Everybody who has the address can visit it; --private asks for a link.'],
    [
      'Jupyter without a token',
      {program: 'jupyter'},
      'everybody who has the address can run code here; --private asks for a link.',
    ],
    ['a program with a login', {program: 'jupyter', login: {token: 'x'}, open: false}, undefined],
    ['a TCP port', {tcp: {host: 'r1.example.net', port: 5432}}, undefined],
    ['a page for this machine', EMBEDDED, undefined],
  ])('%s that is open to everybody says so, once', async (_name, more, hint) => {
    await tell({}, [{...READY, open: true, ...more}, {...READY, open: true, tunnel: 'second'} as ReadyEvent]);
    const said = untimed(err)
      .split('\n')
      .filter((line) => line.includes('--private'));
    expect(said).toEqual(hint === undefined ? [] : [hint]);
  });

  test('lines of events have a time of day, lines of states do not', async () => {
    await tell({});
    const timed = err.split('\n').filter((line) => /^\d\d:\d\d:\d\d {2}/.test(line));
    expect(timed.map((line) => untimed(line).slice(0, 13))).toEqual([
      'tls  203.0.11',
      'warning: link',
      'link back aft',
      'warning: loca',
      'tls  203.0.11',
    ]);
  });

  test('an address that no browser can open: no message about browsers', async () => {
    const [first] = STORY;
    if (first?.type !== 'ready') throw new Error('the story begins otherwise');
    const relay = {url: 'https://tunl.localhost:1', embedded: true, caFile: '/ca.pem'};
    await tell({}, [{...first, address: 'ssh -o ProxyCommand=… dev@abc', program: 'ssh', relay}]);
    expect(err).not.toMatch(/curl|Browsers/);
  });

  test.each([
    ['warning: ', {}],
    ['Warning: ', {ACCESSIBLE: '1'}],
  ])('a line with a warning begins with a prefix (%s)', async (prefix, env) => {
    const presenter = await createPresenter({json: false, quiet: false}, {env, stderrIsTTY: false});
    presenter.tell({tone: 'warning', text: 'there is no clipboard here'});
    presenter.tell({tone: 'plain', text: 'sent to the browser'});
    expect(err).toBe(`${prefix}there is no clipboard here\nsent to the browser\n`);
  });

  test.each([
    ['plain', {}],
    ['spoken', {ACCESSIBLE: '1'}],
  ])('in the background there is no hint about keys (%s)', async (_name, env) => {
    const presenter = await createPresenter({json: false, quiet: false}, {env, stderrIsTTY: false});
    for (const event of STORY) presenter.event(event.type === 'ready' ? {...event, id: 'k3f9a2'} : event);
    expect(err).toContain('tunl stop k3f9a2');
    expect(err).toContain('may finish within 5 s');
    expect(err).not.toMatch(/Ctrl|Control/);
  });

  test('an embedded relay: this machine only, how to try and to trust it, how to get a real one', async () => {
    await tell({}, [EMBEDDED]);
    expect(err).toContain('this address works on this machine only');
    expect(err).toContain(`curl --cacert '/home/dev/my state/ca.pem' https://abc.tunl.localhost:4433`);
    expect(err).toContain('tunl relay ca');
    expect(err).toContain('--relay URL');
    expect(err).toContain('Ctrl+C');
  });

  test('a TCP tunnel: its own address, and the TLS one on stderr', async () => {
    await tell({}, [
      {...READY, address: 'r1.example.net:20417', tcp: {host: 'r1.example.net', port: 20_417}},
    ]);
    expect(out).toBe('r1.example.net:20417\n');
    expect(err).toContain('The same port over TLS: https://abc.r1.example.net');
  });

  test('no link at the start', async () => {
    await tell({}, [
      {
        type: 'reconnecting',
        state: 'away',
        code: 'RELAY_REFUSED',
        reason: 'refused',
        attempt: 1,
        delayMs: 90,
        connections: 0,
        keptForMs: 0,
      },
      {
        type: 'reconnecting',
        state: 'away',
        code: 'RELAY_REFUSED',
        reason: 'refused',
        attempt: 2,
        delayMs: 4000,
        connections: 0,
        keptForMs: 0,
      },
    ]);
    expect(untimed(err)).toBe(
      'warning: no link to the relay yet (refused), trying again\nstill no link (refused), next try in 4 s\n',
    );
  });

  test('a second loss is reported as a loss, whatever attempt it is', async () => {
    const lost = {
      type: 'reconnecting',
      state: 'away',
      code: 'RELAY_LOST',
      reason: 'The peer closed the link.',
      delayMs: 90,
      connections: 2,
      keptForMs: 60_000,
    } as const;
    await tell({}, [
      READY,
      {...lost, attempt: 1},
      {...lost, attempt: 2},
      {type: 'resumed', awayMs: 3104, resumed: 0, lost: 0},
      {...lost, attempt: 3},
    ]);
    expect(untimed(err).split('\n').slice(2)).toEqual([
      'warning: link lost, keeping 2 connections for 60 s',
      'still no link (the peer closed the link)',
      'link back after 3.1 s',
      'warning: link lost, keeping 2 connections for 60 s',
      '',
    ]);
  });

  test('a line of a log keeps its indentation, and cannot change the terminal', async () => {
    const presenter = await tell({}, []);
    for (const line of [
      'Traceback:',
      '  File "a.py"\r',
      '\tx\t= 1',
      '\u001b[31mred\u001b[0m',
      'a\u001b[2Jb\rc',
      '',
    ])
      presenter.event({type: 'log', id: 'k3f9a2', line});
    expect(out).toBe('Traceback:\n  File "a.py"\n\tx\t= 1\nred\nab c\n\n');
  });

  test('text from a peer cannot move the cursor or forge a line', async () => {
    await tell({}, [{type: 'notice', code: 'BIND_REFUSED', message: 'a\u001b[2Jb\nerror: forged'}]);
    expect(untimed(err)).toBe('warning: a [2Jb error: forged\n');
  });

  test('a flood of connections is summed up', async () => {
    const visit: TunnelEvent = {...VISIT, state: 'open', bytesIn: 0, bytesOut: 0, durationMs: 0};
    await tell({}, [READY, ...Array.from({length: 500}, () => visit)]);
    expect(err.split('\n').filter((line) => line.includes('203.0.113.7')).length).toBe(20);
  });
});

describe('ACCESSIBLE=1', () => {
  test('whole sentences, one for each visitor, no abbreviated units', async () => {
    const presenter = await createPresenter(
      {json: false, quiet: false},
      {env: {ACCESSIBLE: '1'}, stderrIsTTY: true},
    );
    for (const event of STORY) presenter.event(event);
    expect(out).toBe('https://abc.r1.example.net\n');
    expect(err).toMatchInlineSnapshot(`
      "Visitors reach localhost:8000 through the relay https://r1.example.net.
      Ctrl+C stops it.
      The link to the relay is lost. 2 connections can wait for 60 seconds. The next attempt is in 90 milliseconds.
      The link to the relay is back after 3.1 seconds. 2 connections went on and 0 were lost.
      Warning: localhost:8000 does not accept connections.
      A visitor from 203.0.113.7 has left after 41 milliseconds, with 312 bytes in and 5.1 kilobytes out.
      The tunnel is closing. 1 open connection may finish within 5 seconds. Press Control C again to leave at once.
      The tunnel is closed. It served 41 connections.
      "
    `);
    // No glyph, no colour.
    expect(err).toMatch(/^[\x20-\x7e\n]*$/);
  });
});

describe('-q', () => {
  test('the address, and no other output', async () => {
    await tell({quiet: true});
    expect(out).toBe('https://abc.r1.example.net\n');
    expect(err).toBe('');
  });

  test('diagnostics only for errors, or at the requested level', async () => {
    const quiet = await tell({quiet: true}, []);
    quiet.log({level: 'warn', scope: 'agent', message: 'hm'});
    expect(err).toBe('');
    const asked = await tell({quiet: true, logLevel: 'debug'}, []);
    asked.log({level: 'debug', scope: 'agent', message: 'dial', fields: {to: 'r1:443', reason: 'a b', n: 3}});
    asked.log({level: 'trace', scope: 'agent', message: 'more'});
    expect(err).toBe('debug agent: dial to=r1:443 reason="a b" n=3\n');
  });
});

describe('--json', () => {
  test('one event on each line, in order', async () => {
    await tell({json: true});
    expect(out.trim().split('\n').map(parseEvent)).toEqual(STORY);
    expect(err).toBe('');
  });

  test('an error is not printed twice', async () => {
    await tell({json: true}, [{type: 'error', code: 'RELAY_LOST', message: 'x', next: 'y', exitCode: 3}]);
    expect(out).toBe('');
  });

  test('leaves out connections for a reader that stopped, and reports how many', async () => {
    const length = vi.spyOn(process.stdout, 'writableLength', 'get').mockReturnValue(2 ** 21);
    const presenter = await tell({json: true});
    expect(out).not.toContain('"connection"');
    expect(out).toContain('"closed"');
    length.mockReturnValue(0);
    presenter.event({type: 'notice', code: 'UPSTREAM_REFUSED', message: 'x'});
    expect(err).toContain('2 connection events are left out');
  });
});

describe('live', () => {
  /** A renderer gets events with the state before and after. */
  function shownBy(live: LiveRenderer) {
    let state = NOTHING_YET;
    return (event: CliEvent) => {
      const before = state;
      state = nextState(before, event, performance.now());
      live.event(event, before, state);
    };
  }

  function terminal() {
    let text = '';
    const stream = new Writable({
      write(chunk, _encoding, done) {
        text += chunk;
        done();
      },
    });
    return {
      stream: Object.assign(stream, {isTTY: true, columns: 80}) as unknown as NodeJS.WriteStream,
      text: () => text,
    };
  }

  test('the lines of the events, with their glyphs and times, one for each visitor', async () => {
    const {stream, text} = terminal();
    const live = new LiveRenderer(stream);
    live.begin('connecting');
    live.settle();
    const show = shownBy(live);
    for (const event of STORY) show(event);
    live.end();
    const lines = text().split('\n');
    const with_ = (what: string) => lines.filter((line) => line.includes(what));
    expect(with_('link lost')[0]).toMatch(/^\d\d:\d\d:\d\d {2}⚠ link lost, keeping 2 connections for 60 s$/);
    expect(with_('link back')[0]).toMatch(/^\S+ {2}✔ link back after 3\.1 s, 2 connections resumed, 0 lost$/);
    expect(with_('203.0.113.7')).toHaveLength(1);
    expect(with_('203.0.113.7')[0]).toMatch(
      /^\d\d:\d\d:\d\d {2}tls {2}203\.0\.113\.7:50123 {8}41 ms {2}in 312 B {3}out 5\.1 kB$/,
    );
    expect(text()).not.toContain('\u001b[?25l');
    expect(text()).not.toContain('\u001b[?1049h');
  });

  test('while the link is lost there is another line only for a different reason', async () => {
    const {stream, text} = terminal();
    const live = new LiveRenderer(stream, {colours: false});
    live.settle();
    const show = shownBy(live);
    show(READY);
    const lost = {
      type: 'reconnecting',
      state: 'away',
      code: 'RELAY_LOST',
      delayMs: 90,
      connections: 0,
      keptForMs: 0,
    } as const;
    ['gone', 'refused', 'refused', 'refused'].forEach((reason, n) => {
      show({...lost, reason, attempt: n + 1});
    });
    live.end();
    expect(text().match(/(link lost, trying again|still no link .*)$/gm)).toEqual([
      'link lost, trying again',
      'still no link (refused)',
    ]);
  });

  test('NO_COLOR: the same without colours', async () => {
    const {stream, text} = terminal();
    const live = new LiveRenderer(stream, {colours: false});
    shownBy(live)({type: 'notice', code: 'UPSTREAM_REFUSED', message: 'no'});
    await eventually(() => expect(text()).toBe('⚠ no\n'));
    live.end();
  });

  test('nothing is lost or out of order while colours are loaded', async () => {
    const {stream, text} = terminal();
    const live = new LiveRenderer(stream);
    live.log('first');
    shownBy(live)(READY);
    await eventually(() => expect(text()).toContain('Ctrl+C'));
    live.log('last');
    live.end();
    live.end();
    expect(text().indexOf('first')).toBeLessThan(text().indexOf('Visitors reach'));
    expect(text().trimEnd().endsWith('last')).toBe(true);
  });
});

test('on a terminal the spinner is gone before the address is written', async () => {
  const steps: string[] = [];
  const renderer = {
    begin: () => {},
    settle: () => steps.push('settle'),
    event: () => steps.push('event'),
    tell: () => {},
    output: () => {},
    log: () => {},
    end: () => {},
  };
  vi.mocked(process.stdout.write).mockImplementation((text) => {
    steps.push(`stdout ${String(text).trim()}`);
    return true;
  });
  new Presenter(renderer, {json: false, quiet: false}).event(READY);
  expect(steps).toEqual(['settle', 'stdout https://abc.r1.example.net', 'event']);
});
