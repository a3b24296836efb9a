// The page at the relay's own name, and the places where a report of abuse can be sent.

const DAY_MS = 86_400_000;
/** RFC 9116 §2.5.5 recommends less than a year. */
const VALID_DAYS = 180;

interface Site {
  domain: string;
  /** The value for --relay of agents. */
  url: () => string;
  /** A URI. */
  abuseContact: string | undefined;
}

export function landingPage({domain, url, abuseContact}: Site): string {
  const report =
    abuseContact === undefined
      ? ''
      : `<p>Is a page below this name a fraud? <a href="${escaped(abuseContact)}">Report it</a>: ${escaped(abuseContact.replace(/^mailto:/, ''))}</p>\n`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>tunl relay</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}code{background:#eee;padding:.1em .3em}</style>
</head><body>
<h1>tunl relay</h1>
<p>This machine gives local ports a public address. Tunnels are names below <code>${domain}</code>.</p>
<p><code>tunl expose 8000 --relay ${url()}</code></p>
${report}</body></html>
`;
}

/** RFC 9116. */
export function securityText(abuseContact: string, canonical: string, now = Date.now()): string {
  const expires = new Date(now + VALID_DAYS * DAY_MS).toISOString().replace(/\.\d+Z$/, 'Z');
  return `# Reports of abuse of a tunnel below this name go to the same place.
Contact: ${abuseContact}
Expires: ${expires}
Canonical: ${canonical}
`;
}

/** A field for JSON answers that say what went wrong. */
export function abuseOf({abuseContact}: Pick<Site, 'abuseContact'>): {abuse?: string} {
  return abuseContact === undefined ? {} : {abuse: abuseContact};
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
