// Reads the parts of the command line that are needed before parsing, or when parsing fails.

export interface EarlyFlags {
  json: boolean;
  quiet: boolean;
  /** True when stacks are shown. */
  debug: boolean;
}

/** Reads --json, -q and --log-level from the words before `--`. */
export function earlyFlags(words: readonly string[]): EarlyFlags {
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words;
  const levels = own.flatMap((word, index) =>
    word === '--log-level' ? [own[index + 1]] : word.startsWith('--log-level=') ? [word.slice(12)] : [],
  );
  return {
    json: own.includes('--json'),
    quiet: own.some((word) => word === '--quiet' || word === '-q'),
    debug: levels.some((level) => level === 'debug' || level === 'trace'),
  };
}

/**
 * Removes possible secrets from an error text: words of the command line that look like a token (long, without the dots,
 * colons and slashes of hosts, URLs and paths), and the token of the environment.
 */
export function withoutSecrets(
  text: string,
  words: readonly string[],
  token = process.env.TUNL_TOKEN,
): string {
  const parts = words.flatMap((word) => [word, word.slice(word.indexOf('=') + 1)]);
  const secrets = parts.filter(
    (part) => /^tunl_\w+$|^[\w+=~^$!@#%&*-]{16,}$/.test(part) && !/^--?[a-z]/.test(part),
  );
  if (token) secrets.push(token);
  return secrets.reduce((clean, secret) => clean.replaceAll(secret, '…'), text);
}
