// Lists of HTTP headers: names and values in turn, as they came. Order, spelling and repetitions stay.

export type HeaderList = readonly string[];

/** All values of a header, in order. @param name in lower case */
export function valuesOf(headers: HeaderList, name: string): string[] {
  const values: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2)
    if (headers[at]?.toLowerCase() === name) values.push(headers[at + 1] as string);
  return values;
}

/** The list without the headers for which `drop` is true. @param drop gets the name in lower case */
export function without(headers: HeaderList, drop: (name: string, value: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name, value] = [headers[at] as string, headers[at + 1] as string];
    if (!drop(name.toLowerCase(), value)) kept.push(name, value);
  }
  return kept;
}

/**
 * Whether the upstream may take the header for `name`: CGI and WSGI write both `-` and `_` as `_`. @param header, name in lower
 * case
 */
export function meansSame(header: string, name: string): boolean {
  return header === name || (header.includes('_') && header.replaceAll('_', '-') === name);
}

/** The tokens of a header that is a list, in lower case. */
export function tokensOf(headers: HeaderList, name: string): string[] {
  return valuesOf(headers, name)
    .flatMap((value) => value.split(','))
    .map((token) => token.trim().toLowerCase())
    .filter((token) => token !== '');
}

export interface Cookie {
  readonly name: string;
  readonly value: string;
}

export function cookiesOf(headers: HeaderList): Cookie[] {
  return valuesOf(headers, 'cookie').flatMap((value) => pairsOf(value).map(readCookie));
}

/** The list without the cookies for which `drop` is true. All other bytes of `Cookie` headers stay. */
export function withoutCookies(headers: HeaderList, drop: (name: string) => boolean): HeaderList {
  if (!cookiesOf(headers).some(({name}) => drop(name))) return headers;
  const left: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name, value] = [headers[at] as string, headers[at + 1] as string];
    if (name.toLowerCase() !== 'cookie') {
      left.push(name, value);
      continue;
    }
    const kept = pairsOf(value).filter((pair) => !drop(readCookie(pair).name));
    if (kept.length > 0) left.push(name, kept.join(';').trimStart());
  }
  return left;
}

const pairsOf = (value: string): string[] => value.split(';');

function readCookie(pair: string): Cookie {
  const at = pair.indexOf('=');
  return at < 0
    ? {name: '', value: pair.trim()}
    : {name: pair.slice(0, at).trim(), value: pair.slice(at + 1).trim()};
}

/** The parameters of a path's query, as they were written. */
export function queryValues(path: string, name: string): string[] {
  return paramsOf(path).flatMap((param) =>
    param.startsWith(`${name}=`) ? [param.slice(name.length + 1)] : [],
  );
}

/** The path without a parameter of its query. All other bytes stay. */
export function withoutQuery(path: string, name: string): string {
  const at = path.indexOf('?');
  if (at < 0) return path;
  const kept = paramsOf(path).filter((param) => param !== name && !param.startsWith(`${name}=`));
  return kept.length === 0 ? path.slice(0, at) : `${path.slice(0, at)}?${kept.join('&')}`;
}

function paramsOf(path: string): string[] {
  const at = path.indexOf('?');
  return at < 0 ? [] : path.slice(at + 1).split('&');
}
