// Commands and flags of other tools, each with its counterpart in tunl. This file only gives advice; it never runs anything.

interface Advice {
  words: readonly string[];
  /** `8000` and `5432` are replaced by the port that was typed. */
  advice: string;
}

/** By the first word, or the first two. */
const COMMANDS: readonly Advice[] = [
  {
    words: ['http', 'https', 'tunnel', 'local', 'funnel', 'serve', 'forward', 'open', 'web', 'up'],
    advice: 'A local port gets an address by `tunl expose 8000`.',
  },
  {words: ['tcp'], advice: 'A raw TCP port of the relay: `tunl expose 5432 --tcp`.'},
  {words: ['tls', 'ssl'], advice: '`tunl expose 8000` has TLS by itself.'},
  {words: ['udp'], advice: 'A tunnel carries TCP only: `tunl expose 5432 --tcp`.'},
  {words: ['run', 'exec', '--'], advice: 'tunl starts a command after `--`: `tunl expose -- npm run dev`.'},
  {
    words: ['ls', 'ps', 'status', 'tunnels', 'sessions'],
    advice: '`tunl list` shows the tunnels in the background.',
  },
  {
    words: ['rm', 'kill', 'down', 'delete', 'off', 'quit'],
    advice: '`tunl stop ID` ends a command in the background, `tunl remove ID NAME` one of its tunnels.',
  },
  {
    words: ['log', 'tail', 'inspect'],
    advice: '`tunl logs ID` shows the output of a tunnel in the background.',
  },
  {words: ['server', 'daemon'], advice: '`tunl relay start` runs the public side.'},
  {words: ['relay run', 'relay serve', 'relay up', 'relay listen'], advice: 'That is `tunl relay start`.'},
  {words: ['relay cert', 'relay trust'], advice: 'That is `tunl relay ca`.'},
  {words: ['relay stop'], advice: 'Ctrl+C ends a relay; `tunl stop ID` one in the background.'},
  {words: ['relay list'], advice: '`tunl list` shows a relay in the background too.'},
  {words: ['relay logs'], advice: '`tunl logs ID` shows the output of a relay in the background too.'},
  {
    words: ['auth', 'authtoken', 'token', 'config', 'signup', 'signin'],
    advice: '`tunl login URL` stores a relay’s token; for scripts it is in TUNL_TOKEN or --token-file FILE.',
  },
  {words: ['notebook', 'lab', 'jupyterlab'], advice: 'That is `tunl jupyter`.'},
  {words: ['code', 'vscode'], advice: 'VS Code in the browser is `tunl code-server`.'},
  {words: ['shell', 'term', 'tty', 'ttyd', 'gotty'], advice: 'A shell in the browser is `tunl terminal`.'},
  {words: ['sshd'], advice: 'That is `tunl ssh`.'},
  {words: ['nc', 'client'], advice: '`tunl connect HOST` joins stdin and stdout with a tunnel.'},
  {words: ['start', 'create', 'new'], advice: 'A tunnel: `tunl expose 8000`. A relay: `tunl relay start`.'},
  {words: ['version'], advice: 'The version: `tunl --version`.'},
  {words: ['update', 'upgrade'], advice: 'tunl does not update itself: install the new version.'},
];

const FLAGS: readonly Advice[] = [
  {
    words: ['--token', '--auth-token', '--authtoken', '--secret'],
    advice: 'Secrets have no place on a command line: set TUNL_TOKEN or pass --token-file.',
  },
  {
    words: ['--port', '-p', '--local-port', '-l'],
    advice: 'The local port stands alone: `tunl expose 8000`. The port at the relay is --remote-port.',
  },
  {
    words: ['--port', '-p', '--addr', '--bind', '--host'],
    advice: 'The address to listen on is --listen HOST:PORT.',
  },
  {words: ['--url', '--target'], advice: 'The target stands alone: `tunl expose http://localhost:8000`.'},
  {
    words: ['--http', '--https'],
    advice: 'That needs no flag: visitors come by https:// to `tunl expose 8000`. A raw port is --tcp.',
  },
  {words: ['--tls', '--ssl'], advice: 'Every address has TLS, except with --tcp.'},
  {words: ['--udp'], advice: 'A tunnel carries TCP only: --tcp.'},
  {words: ['--host'], advice: 'The upstream’s host is --local-host; a name of one’s own is --subdomain.'},
  {
    words: ['--hostname', '--name', '-n', '--domain', '--label', '-s', '--custom-domain'],
    advice: 'A name of one’s own is --subdomain.',
  },
  {
    words: ['--to', '--server', '--server-addr', '--edge', '-R', '--region'],
    advice: 'The relay is --relay URL.',
  },
  {
    words: ['-d', '-D', '--bg', '--background', '--daemon', '--daemonize', '-b', '-f'],
    advice: 'To run in the background: --detach.',
  },
  {
    words: ['--ttl', '--timeout', '--duration', '--lifetime', '--max-time'],
    advice: 'A tunnel ends by itself after --expires TIME, as in `--expires 2h`.',
  },
  {
    words: ['--auth', '--basicauth', '--http-auth', '--password'],
    advice: 'Visitors give a password with --basic-auth USER, or need a link with --private.',
  },
  {
    words: ['--oauth'],
    advice: 'Visitors sign in at an issuer with --oidc ISSUER, or need a link with --private.',
  },
  {
    words: ['--host-header', '--rewrite-host'],
    advice: 'tunl changes no header: allow the public name in the service (docs/programs.md).',
  },
  {words: ['--insecure', '-k'], advice: 'A relay with a private CA needs --ca-file FILE.'},
  {words: ['-o', '--browser'], advice: 'To open the address in the browser: --open.'},
  {words: ['--output', '--format'], advice: 'Events as JSON: --json.'},
  {
    words: ['-i', '-a', '--identity'],
    advice: 'Who may log in is told by --key, with the public half of a key.',
  },
  {words: ['-v'], advice: 'Diagnostics: --log-level debug. The version: `tunl --version`.'},
  {words: ['--version', '-V'], advice: 'The version: `tunl --version`.'},
  {words: ['--verbose', '--debug', '--log'], advice: 'Diagnostics: --log-level debug.'},
];

/** All flags in the table. */
export const flagsElsewhere: ReadonlySet<string> = new Set(FLAGS.flatMap(({words}) => words));

/** Advice for a command of another tool. `typed` are the words of the command line; only a port is repeated. */
export function commandAdvice(typed: readonly string[]): string | undefined {
  const [first = ''] = typed;
  const found =
    COMMANDS.find(({words}) => words.includes(typed.slice(0, 2).join(' '))) ??
    COMMANDS.find(({words}) => words.includes(first));
  const port = typed
    .slice(1)
    .flatMap((word) => /^(?:http:\/\/localhost:)?(\d{1,5})\/?$/.exec(word)?.[1] ?? [])[0];
  return port === undefined ? found?.advice : found?.advice.replaceAll(/8000|5432/g, port);
}

/** Advice for a flag of another tool, if the command has the flags that it names. */
export function flagAdvice(
  flag: string,
  {name, flags}: {name: string; flags: readonly string[]},
): string | undefined {
  return FLAGS.find(({words, advice}) => {
    if (!words.includes(flag)) return false;
    if (name !== 'expose' && advice.includes('`tunl expose')) return false;
    const named = advice.replaceAll(/`[^`]*`/g, '').match(/--[a-z][a-z-]*/g) ?? [];
    return named.every((word) => flags.includes(word.slice(2)));
  })?.advice;
}

/**
 * `tunl 8000` is `tunl expose 8000`: a word that can only be a target stands for the command. A bare word never does, because
 * it may be a command with a spelling mistake.
 */
export function withCommand(words: readonly string[]): readonly string[] {
  const target = words[0]?.replace(/^[a-z0-9][a-z0-9-]*=/i, '') ?? '';
  const isTarget =
    /^:?\d+(:tcp)?$|^(\[[\d:a-f.]+\]|[\w.-]+):\d+(:tcp)?$|^https?:\/\/|^unix:|^\.{0,2}\/|^\.{1,2}$/i.test(
      target,
    );
  return isTarget ? ['expose', ...words] : words;
}
