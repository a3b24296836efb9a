// Recognises answers that show what is wrong between visitors and the upstream, and explains each kind once: a dev server that
// refuses an unknown name, a service that speaks another protocol.

import type {Tap} from '../bytes/tap.js';
import type {ErrorCode} from '../core/errors.js';
import type {StreamCode} from '../protocol/wire.js';
import type {TunnelSettings} from './tunnel-settings.js';

interface Check {
  /** The program that refuses, and the setting that allows the name. */
  program: string;
  setting: string;
  status: number;
  /** In the headers or at the beginning of the body. */
  mark: RegExp;
}

interface Hint {
  code: ErrorCode;
  message: string;
}

const CHECKS: readonly Check[] = [
  {program: 'Vite', setting: 'server.allowedHosts', status: 403, mark: /server\.allowedHosts/},
  {
    program: 'webpack’s dev server',
    setting: 'devServer.allowedHosts',
    status: 403,
    mark: /\r\n\r\n[\s\S]*Invalid Host\/?(Origin)? ?header/i,
  },
  {
    program: 'Next',
    setting: 'allowedDevOrigins',
    status: 403,
    // In other answers this word comes with 401.
    mark: /\r\n\r\n(c\r\n)?Unauthorized/,
  },
  {program: 'Rails', setting: 'config.hosts', status: 403, mark: /Blocked hosts?:/},
  {program: 'Django', setting: 'ALLOWED_HOSTS', status: 400, mark: /DisallowedHost|Invalid HTTP_HOST header/},
  {program: 'Django', setting: 'CSRF_TRUSTED_ORIGINS', status: 403, mark: /Origin checking failed/},
  {
    program: 'Jupyter',
    setting: 'ServerApp.local_hostnames',
    status: 403,
    // Its other 403 answers, such as for a form without its token, have a reason below the heading.
    mark: /\r\nserver: TornadoServer[\s\S]*<title>Jupyter Server<[\s\S]*<h1>403 : Forbidden<\/h1>\s*<\/div>/i,
  },
];

/** The beginning of an answer that the marks need: Rails has 5 kB of styles before its text. */
const LOOK_BYTES = 16 * 1024;

const ERROR_STATUS = Buffer.from('HTTP/1.1 40');
const HTTP_1 = Buffer.from('HTTP/1.');

/** The first byte of TLS records: a handshake, an alert. */
const HANDSHAKE = 0x16;
const ALERT = 0x15;
/** The beginning of an HTTP/2 connection (RFC 9113 §3.4). */
const PREFACE = Buffer.from('PRI * HTTP/2');

const SPEAKS_TLS: Hint = {
  code: 'UPSTREAM_TLS',
  message:
    'The upstream expects HTTPS and is asked in plain HTTP: give it as https://HOST:PORT (its own certificate: --upstream-ca or --upstream-insecure).',
};
const SPEAKS_HTTP_1: Hint = {
  code: 'UPSTREAM_PROTOCOL',
  message:
    'The upstream answers HTTP/2 with HTTP/1: leave out --h2, or add --http1 for a service that speaks both.',
};

/** nginx, Apache, Go, Tomcat. */
const ASKED_IN_PLAIN =
  /plain HTTP request was sent to HTTPS port|speaking plain HTTP to an SSL-enabled|Client sent an HTTP request to an HTTPS server|This combination of host and port requires TLS/;

/** The first letter of an HTTP method. */
const isLetter = (byte: number): boolean => byte >= 0x41 && byte <= 0x5a;

/** The most handshakes that ask whether the upstream speaks TLS. */
const MOST_TLS_PROBES = 3;

/** Hints after which no connection is looked at. */
const ENOUGH = CHECKS.length + 2;

export class HostChecks {
  readonly #tell: (code: ErrorCode, message: string) => void;
  readonly #speaksTls: () => Promise<boolean>;
  readonly #told = new Set<string>();
  #tlsProbes = 0;

  /** @param speaksTls begins a TLS handshake with the upstream, on a connection of its own. Never rejects. */
  constructor(
    tell: (code: ErrorCode, message: string) => void,
    speaksTls: () => Promise<boolean> = async () => false,
  ) {
    this.#tell = tell;
    this.#speaksTls = speaksTls;
  }

  /** For one connection. Undefined when everything has been explained. */
  begin(): Tap | undefined {
    if (this.#told.size === ENOUGH) return undefined;
    let head: Buffer | undefined;
    let over = false;
    /** The first byte of the visitor; -1 for the preface of HTTP/2. */
    let asked: number | undefined;
    const up = (piece: Uint8Array) => {
      if (asked === undefined && piece.length > 0) asked = startsWith(piece, PREFACE) ? -1 : piece[0];
    };
    const down = (piece: Uint8Array) => {
      if (over) return;
      if (head === undefined && !startsWith(piece, ERROR_STATUS)) {
        over = true;
        // An alert to a visitor that speaks TLS itself is between the two.
        if (piece[0] === ALERT && piece[1] === 3 && asked !== undefined && asked !== HANDSHAKE)
          this.#explain(SPEAKS_TLS);
        else if (asked === -1 && startsWith(piece, HTTP_1)) this.#explain(SPEAKS_HTTP_1);
        return;
      }
      const bytes = Math.min(piece.length, LOOK_BYTES);
      const chunk = Buffer.from(piece.buffer, piece.byteOffset, bytes);
      // The next read overwrites the piece.
      head = head === undefined ? Buffer.from(chunk) : Buffer.concat([head, chunk]);
      const hint = asked === -1 ? SPEAKS_HTTP_1 : recognise(head.toString('latin1'));
      over = hint !== undefined || head.length >= LOOK_BYTES;
      if (hint !== undefined) this.#explain(hint);
    };
    const end = (code?: StreamCode, first?: 'up' | 'down') => {
      const isHttp = asked !== undefined && (asked === -1 || isLetter(asked));
      const isByUpstream =
        code === undefined ? first === 'down' : code === 'UPSTREAM_RESET' && first !== 'up';
      if (isHttp && isByUpstream && !over && head === undefined) void this.#askForTls();
    };
    return {up, down, end};
  }

  /** The upstream gave no answer to a request of a gate, so the tap saw the gate's own answer. */
  unanswered(protocol: 'h2' | 'http/1.1'): void {
    void this.#askForTls().then((speaksTls) => {
      // Its answer to HTTP/2 was something else, and not TLS.
      if (protocol === 'h2' && speaksTls === false) this.#explain(SPEAKS_HTTP_1);
    });
  }

  /**
   * The upstream has ended an HTTP request without an answer. TLS servers do that, but so does a service that fails. Undefined: it was
   * asked often enough.
   */
  async #askForTls(): Promise<boolean | undefined> {
    if (this.#told.has(SPEAKS_TLS.message)) return true;
    if (this.#tlsProbes >= MOST_TLS_PROBES) return undefined;
    this.#tlsProbes += 1;
    const speaksTls = await this.#speaksTls();
    if (speaksTls) this.#explain(SPEAKS_TLS);
    return speaksTls;
  }

  #explain({code, message}: Hint): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#tell(code, message);
  }
}

function startsWith(piece: Uint8Array, start: Buffer): boolean {
  const length = Math.min(piece.length, start.length);
  return start.compare(piece, 0, length, 0, length) === 0;
}

/** The hint for the beginning of an answer. */
function recognise(head: string): Hint | undefined {
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]);
  if (status === 400 && ASKED_IN_PLAIN.test(head)) return SPEAKS_TLS;
  const found = CHECKS.find((check) => check.status === status && check.mark.test(head));
  return (
    found && {
      code: 'HOST_REFUSED',
      message: `${found.program} refuses requests for the public name: allow it in its settings (${found.setting}).`,
    }
  );
}

/** Undefined: answers are not explained. Nothing is told once the tunnel is over. */
export function hostChecksOf(
  {explainHostChecks, onEvent}: Pick<TunnelSettings, 'explainHostChecks' | 'onEvent'>,
  {isOver, speaksTls}: {isOver: () => boolean; speaksTls: () => Promise<boolean>},
): HostChecks | undefined {
  if (!explainHostChecks) return undefined;
  return new HostChecks((code, message) => {
    if (!isOver()) onEvent({type: 'notice', code, message});
  }, speaksTls);
}
