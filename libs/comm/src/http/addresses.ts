/** Hosts as they are given in configs and messages, and as they stand in URLs. */

/** A host as it stands in a URL: an IPv6 address in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * A host in the one form that URLs give it: lower case, numbers in decimal, the shortest IPv6 form, without brackets and without
 * a dot at the end; null if it is none.
 */
export function canonicalHost(host: string): string | null {
  if (!/^[^\s/\\?#@[\]]+$/.test(host)) return null;
  const url = `http://${hostInUrl(host)}/`;
  if (!URL.canParse(url)) return null;
  const { hostname, port } = new URL(url);
  return port === '' ? hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '') : null;
}

/** Whether only this machine reaches what listens on `host`. */
export function isLoopback(host: string): boolean {
  const canonical = canonicalHost(host) ?? '';
  return canonical === '::1' || isLocalName(canonical) || /^127(\.\d+){3}$/.test(canonical);
}

/** localhost and the names below it, which are this machine everywhere (RFC 6761). */
export function isLocalName(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost');
}

/** Whether `host` stands for all addresses of this machine. */
export function isWildcard(host: string): boolean {
  return ['0.0.0.0', '::'].includes(canonicalHost(host) ?? '');
}

/** Where a process on this machine dials what listens on `host` here: all addresses are no address to dial. */
export function reachableHere(host: string): string {
  if (!isWildcard(host)) return host;
  return host.includes(':') ? '::1' : '127.0.0.1';
}
