/**
 * Who may ask: a pure judgement of a request's head. It keeps web pages out.
 *
 * A page that a person has open can make their browser ask any address that the machine reaches, loopback too. The browser says
 * two things that the page cannot forge. `Origin` (or `Sec-Fetch-Site`): the page is another site's. `Host`: the name in
 * the page's own address. By DNS rebinding a page of evil.example is of one origin with evil.example:29400, which by then is
 * 127.0.0.1; but its Host is still evil.example. So Host must be what only this machine or its own network can be called, or a
 * name that its operator has listed. Programs that are no browsers say what they like here: this keeps none of them out.
 */
import { isIP } from 'node:net';
import { canonicalHost, isLocalName, isLoopback } from './addresses.js';

export type RequestRefusal = { readonly code: 'E_HOST_REFUSED' | 'E_ORIGIN_REFUSED'; readonly message: string };

/** What is judged of a request. Values by the header's name in lower case, each time that it was sent. */
export type RequestHead = {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Partial<Record<string, readonly string[]>>>;
};

/** What a server may be called. */
export type ServerNames = {
  /** Only this machine reaches it, so nobody has a reason to use a name of a network. */
  readonly loopbackOnly: boolean;
  readonly names: ReadonlySet<string>;
  /** Each begins with a dot. */
  readonly suffixes: readonly string[];
};

/** Names below these are nobody's in the public DNS: RFC 6762, 8375, 6761, ICANN's reservation of .internal, and Kubernetes'. */
const PRIVATE_SUFFIXES = ['.local', '.internal', '.svc', '.lan', '.home.arpa', '.test'];

/** Of a header in a message. */
const LONGEST_SHOWN = 100;

/** What probes of HTTP/1.0, which knows no Host, may ask for. */
const WITHOUT_HOST = ['/healthz', '/metrics'];

/**
 * What the server is called that listens on `host`.
 *
 * @param names further names; one that begins with a dot stands for all names below it
 */
export function serverNames(host: string, names: readonly string[] = []): ServerNames {
  const given = [host, ...names];
  const exact = given.flatMap((name) => (name.startsWith('.') ? [] : (canonicalHost(name) ?? [])));
  const suffixes = given.filter((name) => name.startsWith('.')).map((name) => name.toLowerCase());
  return { loopbackOnly: isLoopback(host), names: new Set(exact), suffixes };
}

/** Why a request is refused, or null if it is let in. */
export function refusalOf({ method, target, headers }: RequestHead, server: ServerNames): RequestRefusal | null {
  const { host = [], origin = [], 'sec-fetch-site': sites = [] } = headers;
  // A target with an authority of its own goes before Host (RFC 9112, 3.2.2).
  const inTarget = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1];
  const asked = [...host, ...(inTarget === undefined ? [] : [inTarget])];
  for (const value of asked) {
    const name = nameIn(value);
    if (name === null || !isOurs(name, server)) return hostRefused(value);
  }
  const path = target.split('?')[0];
  const isProbe = (method === 'GET' || method === 'HEAD') && WITHOUT_HOST.includes(path);
  if (host.length > 1 || (host.length === 0 && !isProbe))
    return refused('E_HOST_REFUSED', `a request names its host once, in the header Host; this one has ${host.length}`);
  const foreign = origin.find((value) => origin.length > 1 || !isSameOrigin(value, host[0]));
  if (foreign !== undefined)
    return refused('E_ORIGIN_REFUSED', `a page of ${shown(foreign)} may not ask here; only this server's own may`);
  const site = sites.find((value) => value !== 'same-origin' && value !== 'none');
  if (site !== undefined)
    return refused('E_ORIGIN_REFUSED', `a page of another site may not ask here (Sec-Fetch-Site: ${shown(site)})`);
  return null;
}

/** The name in `name` or `name:port`, as canonicalHost writes it; null if the value is neither. */
function nameIn(value: string): string | null {
  const match = /^(?:\[([\da-f:.]+)\]|([^:[\]]+))(?::\d{1,5})?$/i.exec(value);
  return match === null ? null : canonicalHost(match[1] ?? match[2] ?? '');
}

function isOurs(name: string, { loopbackOnly, names, suffixes }: ServerNames): boolean {
  // No page has an address of numbers unless the server at that address gave it out: that is this one.
  if (isIP(name) !== 0 || isLocalName(name) || names.has(name)) return true;
  if (suffixes.some((suffix) => name.endsWith(suffix))) return true;
  // One label is a container, a service or a machine of this network: no name in the public DNS is so short.
  return !loopbackOnly && (!name.includes('.') || PRIVATE_SUFFIXES.some((suffix) => name.endsWith(suffix)));
}

function isSameOrigin(origin: string, host: string | undefined): boolean {
  if (host === undefined || !/^https?:\/\/[^/?#@\s]+$/i.test(origin) || !URL.canParse(origin)) return false;
  const { protocol, host: from } = new URL(origin);
  const own = `${protocol}//${host}`;
  return URL.canParse(own) && new URL(own).host === from;
}

function hostRefused(value: string): RequestRefusal {
  const name = nameIn(value) ?? 'NAME';
  return refused(
    'E_HOST_REFUSED',
    `this server is not known as ${shown(value)}; if that is its name, start it with --allowed-hosts ${name.slice(0, LONGEST_SHOWN)}`,
  );
}

function refused(code: RequestRefusal['code'], message: string): RequestRefusal {
  return { code, message };
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, LONGEST_SHOWN));
}
