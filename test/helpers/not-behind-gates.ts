// Tests of open tunnels that do not run behind gates, each with the reason. test/project/behind-gates.test.ts compares the rows
// with the tests and with vitest.config.ts.
interface Row {
  /** Below test/e2e. */
  file: string;
  /** Absent: the whole file. */
  title?: string;
  why: string;
}

export const NOT_BEHIND_GATES: readonly Row[] = [
  {
    file: 'web',
    title: 'the bytes at the upstream are exactly those of the visitor, and back',
    why: 'a gate reads HTTP and writes it anew; these bytes are no valid request',
  },
  {
    file: 'offline-page',
    title: 'a head without an end is answered at its limit',
    why: 'a gate has its own limit, and answers 431 (unit tests of gates)',
  },
  {
    file: 'offline-page',
    title: 'without ALPN the first bytes decide: a request gets the page, others and silence are reset',
    why: 'behind a gate everything is HTTP; others get 400 from it',
  },
  {
    file: 'offline-page',
    title: 'a visitor of a TCP tunnel never gets the page, even if it sends a request',
    why: 'a TCP tunnel has no gate for HTTP',
  },
  {
    file: 'offline-page',
    title: 'without the flag visitors are reset',
    why: 'a gate answers visitors who are in with 502, also without the flag',
  },
  {
    file: 'vite',
    title: 'Vite with another name: the visitor is refused, and tunl names the setting once',
    why: 'a gate refuses requests for another host itself, so Vite never sees one',
  },
  {
    file: 'coalescing',
    why: 'a page fetches from another tunnel, and browsers send no cookie of a gate to another site',
  },
  {file: 'visit-ends', why: 'the visitors and the upstream speak no HTTP'},
  {
    file: 'several-targets',
    why: 'the upstreams echo bytes that are no HTTP; gates-targets has links for several targets',
  },
  {file: 'tcp-programs', why: 'TCP tunnels; private-tcp has their gate'},
  {file: 'many', why: 'the upstreams echo bytes that are no HTTP'},
  {file: 'streams', why: 'streams that an agent opens have no visitor'},
];

/** The reason why a test does not run behind gates; undefined: it does. */
export function notBehind(title: string): string | undefined {
  return NOT_BEHIND_GATES.find((row) => row.title === title)?.why;
}
